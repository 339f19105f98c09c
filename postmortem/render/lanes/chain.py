"""The chain lane: a row a link, numbered, with arrows from cause to effect."""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.chain.model import Grade
from postmortem.render.chart import values
from postmortem.render.theme import GRADE_COLOURS, INK, LIT, PAPER
from postmortem.render.time_axis import Span, row_axis, time_x


def chain_lane(links: pl.DataFrame, own: pl.DataFrame, span: Span) -> list[alt.Chart]:
    """Bars from each link's start to its end, a numbered disc at the start, an arrow from the cause above.

    Below them the request itself: ``own`` its steps, ``t`` seconds since the span's start.
    """
    grades = [grade.value for grade in Grade]
    rows = links.with_columns(
        span.since("start_ns").alias("t"),
        span.since("end_ns").fill_null(span.since("start_ns")).alias("t2"),
        pl.col("n").cast(pl.String).alias("mark"),
        label=pl.concat_str(
            pl.col("n").cast(pl.String),
            pl.lit(" "),
            pl.col("kind").str.replace_all("_", " ", literal=True),
            pl.when(pl.col("rank").is_not_null())
            .then(pl.concat_str(pl.lit(", rank "), pl.col("rank").cast(pl.String)))
            .otherwise(pl.lit("")),
        ),
    )
    life = own.group_by("req_id").agg(pl.col("t").min(), t2=pl.col("t").max(), steps=pl.len()).sort("req_id")
    life = life.with_columns(label=pl.concat_str(pl.lit("request "), pl.col("req_id").fill_null("")))
    labels = rows["label"].to_list() + life["label"].to_list()
    known = (pl.concat_str(pl.lit(f"{name} "), pl.col(name)) for name in ("rank", "replica", "iteration"))
    rows = rows.with_columns(where=pl.concat_str(*known, separator=", ", ignore_nulls=True))
    tips = {"label": "link", "grade": "grade", "summary": "what", "where": "where"}
    drawn = rows.select("t", "t2", "mark", *(pl.col(name).fill_null("") for name in tips))
    told = [alt.Tooltip(f"{name}:N", title=title) for name, title in tips.items()]
    y = alt.Y(
        "label:N",
        sort=None,
        scale=alt.Scale(domain=labels),
        axis=row_axis(labels, INK),
    )
    colour = alt.Color(
        "grade:N",
        scale=alt.Scale(domain=grades, range=[GRADE_COLOURS[grade] for grade in Grade]),
        legend=alt.Legend(title="link's grade", symbolType="circle"),
    )
    chart = alt.Chart(values(drawn))
    bars = chart.mark_bar(height=8, opacity=0.45, clip=True).encode(
        x=time_x(span), x2="t2:Q", y=y, color=colour, tooltip=told
    )
    # From the cause's bar along its row to where the effect begins, then down to the effect's mark.
    arrows = rows.select(
        "t",
        pl.col("label").alias("to"),
        pl.col("label").shift(1).alias("from"),
        left=pl.col("t").clip(pl.col("t").shift(1), pl.col("t2").shift(1)),
    ).drop_nulls("from")
    stems = alt.Chart(values(arrows)).mark_rule(color=INK, strokeWidth=1.2, clip=True)
    heads = alt.Chart(values(arrows)).mark_point(
        shape="triangle-down", filled=True, color=INK, size=50, yOffset=-12, opacity=1, clip=True
    )
    dots = chart.mark_point(shape="circle", filled=True, size=230, opacity=1, clip=True).encode(
        x=time_x(span), y=y, color=colour, tooltip=told
    )
    numbers = chart.mark_text(color=PAPER, fontWeight="bold", clip=True).encode(x=time_x(span), y=y, text="mark:N")
    # The stroke shows a request of one step, which has no width.
    itself = alt.Chart(values(life.select("label", "t", "t2", "steps")))
    itself = itself.mark_bar(height=5, color=LIT, stroke=LIT, strokeWidth=1, clip=True)
    return [
        bars,
        stems.encode(x=time_x(span, "left"), x2="t:Q", y=alt.Y("from:N", sort=None)),
        stems.encode(x=time_x(span), y=alt.Y("from:N", sort=None), y2="to:N"),
        heads.encode(x=time_x(span), y=alt.Y("to:N", sort=None)),
        dots,
        numbers,
        *([itself.encode(x=time_x(span), x2="t2:Q", y=y, tooltip=["label:N", "steps:Q"])] if life.height else []),
    ]
