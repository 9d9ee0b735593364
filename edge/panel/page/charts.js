// Charts as inline SVG: no library, no style attribute.
import { make, say } from "./ask.js";

const WIDTH = 320, HEIGHT = 110, FLOOR = 88;

export function draw(kind, values, words = null) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
  if (words !== null) element.textContent = words;
  return element;
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
