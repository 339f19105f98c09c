"use strict";
// Draws each chart of the page from the JSON beside it. Nothing is fetched; expressions are
// interpreted, never compiled, so that the page's policy can forbid eval.
(() => {
  const plots = [...document.querySelectorAll(".plot")];
  const state = { drawn: 0, of: plots.length, errors: [] };
  const views = new Map();
  const say = () => {
    document.documentElement.dataset.charts = `${state.drawn} of ${state.of}`;
    if (state.errors.length) document.documentElement.dataset.chartErrors = state.errors.join(" | ");
  };

  // Panels side by side keep so many pixels in all, 160 each and their axes; on a narrower page the plot scrolls, and
  // legends stand in a column: four names in a row, beside the lanes' own, want as many.
  const LEAST = 560;
  // Notes are folded for a page 800 pixels wide: on a narrower one again, a letter taking about 6.5 pixels.
  const LETTER = 6.5;
  const folded = (text, width) => [text].flat().flatMap((line) => line.split(" ").reduce((made, word) => {
    const longer = made.length ? `${made[made.length - 1]} ${word}` : "";
    if (made.length && longer.length * LETTER <= width) made[made.length - 1] = longer;
    else made.push(word);
    return made;
  }, []));

  // Views were laid out for ``laid`` pixels: give the difference to each; those side by side share it.
  const fitted = (spec, room, laid) => {
    const narrow = room < LEAST;
    const visit = (node, more, width) => {
      if (typeof node.width === "number") width = node.width = Math.max(160, node.width + more);
      const axis = node.encoding && node.encoding.x && node.encoding.x.axis;
      if (narrow && axis && axis.title) axis.title = folded(axis.title, width);
      for (const part of ["vconcat", "layer"]) (node[part] || []).forEach((child) => visit(child, more, width));
      (node.hconcat || []).forEach((child) => visit(child, Math.floor(more / node.hconcat.length), width));
    };
    visit(spec, (spec.hconcat ? Math.max(room, LEAST) : room) - laid - 8, room);
    if (spec.title && spec.title.text) spec.title.text = folded(spec.title.text, room);
    if (narrow) spec.config.legend.columns = 1;
    return spec;
  };

  const draw = async (plot) => {
    const spec = JSON.parse(document.getElementById(plot.dataset.spec).textContent);
    const room = Math.floor(plot.clientWidth || 1040);
    const old = views.get(plot);
    if (old) old.finalize();
    // Within the plot, which is an image by its role and text: Vega names what it draws into by itself.
    const inner = document.createElement("div");
    plot.replaceChildren(inner);
    const made = await vegaEmbed(inner, fitted(spec, room, Number(plot.dataset.width)), {
      mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false,
      tooltip: { disableDefaultStyle: true },
    });
    views.set(plot, made);
    const meta = made.spec.usermeta || {};
    const bar = plot.parentElement.querySelector(".controls");
    bar.textContent = "";
    if (meta.whole) zooming(plot, bar, made.view, meta);
    bar.classList.toggle("corner", !meta.whole);
    saving(plot, bar, made.view);
    if (meta.whole) hint(bar);
    bar.hidden = false;
  };

  const button = (bar, label, act, says) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = label;
    if (says) made.setAttribute("aria-label", says);
    made.addEventListener("click", act);
    bar.append(made);
  };

  const hint = (bar) => {
    const made = document.createElement("span");
    made.className = "soft hint";
    made.textContent = "Drag over the overview to choose, over the lanes to pan; Ctrl and scroll to zoom, double-click to see all.";
    bar.append(made);
  };

  // Buttons for the keyboard, and the overview to drag over, where the chart can be zoomed along its time axis.
  const zooming = (plot, bar, view, { whole, incident }) => {
    const shown = () => view.signal("zoom_t") || whole;
    const show = (stretch) => view.signal("zoom_t", stretch).runAsync();
    const moves = [
      ["Zoom in", (a, b, w) => [a + w / 4, b - w / 4]],
      ["Zoom out", (a, b, w) => [a - w / 2, b + w / 2]],
      ["Earlier", (a, b, w) => [a - w / 4, b - w / 4]],
      ["Later", (a, b, w) => [a + w / 4, b + w / 4]],
      ["All", () => whole],
    ];
    if (incident) moves.unshift(["The incident", () => incident]);
    for (const [label, change] of moves) {
      button(bar, label, () => { const [a, b] = shown(); show(change(a, b, b - a)); });
    }
    const over = plot.querySelector(".overview_group > g > path.background");
    if (!over) return;
    let from = null, kept = null;
    const at = (event) => {
      const box = over.getBoundingClientRect();
      const part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      return whole[0] + part * (whole[1] - whole[0]);
    };
    const inside = (event) => {
      const box = over.getBoundingClientRect();
      return event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    };
    plot.onpointerdown = (event) => {
      if (event.button !== 0 || !inside(event)) return;
      from = at(event);
      const [a, b] = shown();
      // Within the stretch shown, dragging moves it; elsewhere it chooses another.
      kept = b - a < 0.98 * (whole[1] - whole[0]) && from >= a && from <= b ? [a, b] : null;
      plot.setPointerCapture(event.pointerId);
      event.preventDefault();
    };
    plot.onpointermove = (event) => {
      plot.style.cursor = from === null && inside(event) ? "crosshair" : "";
      if (from === null) return;
      const now = at(event);
      if (kept) {
        const by = Math.min(whole[1] - kept[1], Math.max(whole[0] - kept[0], now - from));
        show(kept.map((x) => x + by));
      } else if (Math.abs(now - from) > 0.002 * (whole[1] - whole[0])) {
        show([Math.min(from, now), Math.max(from, now)]);
      }
    };
    plot.onpointerup = plot.onpointercancel = () => { from = kept = null; };
  };

  // Each chart as a file: made here, nothing is sent.
  const saving = (plot, bar, view) => {
    const give = (href, ending) => {
      const link = document.createElement("a");
      link.href = href;
      link.download = `${plot.dataset.name}.${ending}`;
      link.click();
    };
    button(bar, "SVG", async () => {
      const href = URL.createObjectURL(new Blob([await view.toSVG()], { type: "image/svg+xml" }));
      give(href, "svg");
      setTimeout(() => URL.revokeObjectURL(href), 10000);
    }, "Save this chart as SVG");
    button(bar, "PNG", async () => give(await view.toImageURL("png", 2), "png"), "Save this chart as PNG");
  };

  const all = async () => {
    for (const plot of plots) {
      try {
        await draw(plot);
        performance.mark(plot.dataset.name);
        state.drawn += 1;
      } catch (error) {
        state.errors.push(String(error && error.message || error));
        plot.textContent = `This chart could not be drawn: ${error && error.message || error}`;
      }
      say();
    }
    performance.mark("drawn");
    document.documentElement.dataset.ready = "yes";
  };

  // A link into folded evidence opens it.
  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", open);

  let width = innerWidth, later;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(later);
    later = setTimeout(() => { state.drawn = 0; all(); }, 250);
  });
  all().then(open);
})();
