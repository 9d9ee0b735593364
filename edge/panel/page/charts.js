// Charts as inline SVG: no library, no style attribute.
import { make, say } from "./ask.js";

const WIDTH = 320, HEIGHT = 110, FLOOR = 88;

export function draw(kind, values, words = null) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
  if (words !== null) element.textContent = words;
  return element;
}

// How far one camera's parts lie from what was learned: the newest ones in words, the last hours as a bar for each span.
export function trend(view, span_s) {
  const title = make("figcaption", "", say("drift_of", view));
  if (!view.has_coverage) return make("figure", "chart", null, title, make("p", "note", say("no_coverage")));
  if (!view.parts) return make("figure", "chart", null, title, make("p", "note", say("nothing_placed")));
  const isFar = view.unlike > view.allowed;
  const words = say("drift_now", { ...view, distance: view.distance.toFixed(2), sign: isFar ? "! " : "" });
  const newest = make("p", `big${isFar ? " far" : ""}`, words);
  return make("figure", "chart", null, title, newest, spans(view.spans, span_s), make("small", "", say("drift_axis")));
}

const MOST = 2; // limits that the axis reaches

function spans(all, span_s) {
  const chart = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "bars" });
  const slots = Math.max(12, ...all.map((each) => Math.floor(each.ago_s / span_s) + 1)), wide = WIDTH / slots;
  for (const each of all) {
    const tall = Math.max(1.5, (Math.min(each.distance, MOST) / MOST) * (FLOOR - 4)), left = WIDTH - (Math.floor(each.ago_s / span_s) + 1) * wide;
    const bar = draw("rect", { x: left + 0.5, y: FLOOR - tall, width: wide - 1, height: tall, class: 2 * each.unlike > each.parts ? "reject" : "" });
    bar.append(draw("title", {}, say("about_span", { ...each, distance: each.distance.toFixed(2), min: Math.round(each.ago_s / 60) })));
    chart.append(bar);
  }
  const limit = FLOOR - (FLOOR - 4) / MOST;
  chart.append(draw("line", { x1: 0, x2: WIDTH, y1: limit, y2: limit, class: "now" }), draw("line", { x1: 0, x2: WIDTH, y1: FLOOR, y2: FLOOR }),
    draw("text", { x: 0, y: HEIGHT - 8 }, say("span_ago", { h: +((slots * span_s) / 3600).toFixed(1) })),
    draw("text", { x: WIDTH, y: HEIGHT - 8, "text-anchor": "end" }, say("now")));
  return chart;
}

function short(ms) {
  if (ms === null) return say("more");
  return ms >= 1000 ? say("s", { n: ms / 1000 }) : ms >= 1 ? say("ms", { n: ms }) : say("us", { n: Math.round(1000 * ms) });
}

// A histogram: bins with values only, their upper bounds below, and what 50, 90, 99 and 99.9 % do not exceed.
export function bars(title, bounds, shape) {
  const used = shape.bins.map((count, index) => [count, index]).filter(([count]) => count);
  const first = used[0][1], last = used[used.length - 1][1];
  const bins = shape.bins.slice(first, last + 1), most = Math.max(...bins), wide = Math.min(60, WIDTH / bins.length);
  const chart = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "bars" });
  const step = Math.ceil(bins.length / 7);
  bins.forEach((count, index) => {
    const tall = count ? Math.max(1.5, (count / most) * (FLOOR - 14)) : 0, left = index * wide;
    const bar = draw("rect", { x: left + 1, y: FLOOR - tall, width: wide - 2, height: tall });
    const bound = bounds[first + index] ?? null;
    bar.append(draw("title", {}, say("up_to", { count, bound: short(bound) })));
    chart.append(bar);
    if (index % step === 0) chart.append(draw("text", { x: left + wide / 2, y: HEIGHT - 8, "text-anchor": "middle" }, short(bound)));
  });
  chart.append(draw("line", { x1: 0, x2: WIDTH, y1: FLOOR, y2: FLOOR }));
  const ranks = Object.entries(shape.ranks).map(([name, ms]) => say("rank", { rank: name, bound: ms === null ? say("beyond") : short(ms) }));
  return make("figure", "chart", null, make("figcaption", "", title), chart,
    make("small", "", say("mean", { ranks: ranks.join(" · "), mean: say("ms", { n: shape.mean_ms }), count: shape.count })));
}
