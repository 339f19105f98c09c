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

  // Views were laid out for data-width pixels: give the difference to each.
  const fitted = (spec, more) => {
    const visit = (node) => {
      if (Array.isArray(node)) return node.forEach(visit);
      if (typeof node.width === "number") node.width = Math.max(200, node.width + more);
      for (const part of ["vconcat", "hconcat", "concat", "layer"]) if (node[part]) visit(node[part]);
      if (node.spec) visit(node.spec);
    };
    visit(spec);
    return spec;
  };

  const draw = async (plot) => {
    const text = document.getElementById(plot.dataset.spec).textContent;
    const more = Math.floor(plot.clientWidth || 1040) - Number(plot.dataset.width) - 4;
    const old = views.get(plot);
    if (old) old.finalize();
    plot.textContent = "";
    const made = await vegaEmbed(plot, fitted(JSON.parse(text), more), {
      mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false,
      tooltip: { disableDefaultStyle: true },
    });
    views.set(plot, made);
    controls(plot, made.view, (made.spec.usermeta || {}).incident);
  };

  // Buttons for the keyboard, where the chart can be zoomed along its time axis.
  const controls = (plot, view, incident) => {
    const bar = plot.parentElement.querySelector(".controls");
    try { view.signal("zoom_t"); } catch { return; }
    const whole = view.scale("x").domain();
    const move = (change) => {
      const [from, to] = view.scale("x").domain();
      const next = change(from, to, to - from);
      view.signal("zoom_t", next).runAsync();
    };
    const buttons = [
      ["Zoom in", (a, b, w) => [a + w / 4, b - w / 4]],
      ["Zoom out", (a, b, w) => [a - w / 2, b + w / 2]],
      ["Earlier", (a, b, w) => [a - w / 4, b - w / 4]],
      ["Later", (a, b, w) => [a + w / 4, b + w / 4]],
      ["All", () => whole],
    ];
    if (incident) buttons.unshift(["The incident", () => incident]);
    bar.textContent = "";
    for (const [label, change] of buttons) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.addEventListener("click", () => move(change));
      bar.append(button);
    }
    bar.hidden = false;
  };

  const all = async () => {
    for (const plot of plots) {
      try {
        await draw(plot);
        state.drawn += 1;
      } catch (error) {
        state.errors.push(String(error && error.message || error));
        plot.textContent = `This chart could not be drawn: ${error && error.message || error}`;
      }
      say();
    }
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
