// Charts as inline SVG: no library, no style attribute.
import { make } from "./ask.js";

const WIDTH = 320, HEIGHT = 110, FLOOR = 88;

export function draw(kind, values, words = null) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
  if (words !== null) element.textContent = words;
  return element;
}

function short(ms) {
  return ms === null ? "more" : ms >= 1000 ? `${ms / 1000} s` : ms >= 1 ? `${ms} ms` : `${Math.round(1000 * ms)} µs`;
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
    bar.append(draw("title", {}, `${count} up to ${short(bound)}`));
    chart.append(bar);
    if (index % step === 0) chart.append(draw("text", { x: left + wide / 2, y: HEIGHT - 8, "text-anchor": "middle" }, short(bound)));
  });
  chart.append(draw("line", { x1: 0, x2: WIDTH, y1: FLOOR, y2: FLOOR }));
  const ranks = Object.entries(shape.ranks).map(([name, ms]) => `${name} ≤ ${ms === null ? "beyond" : short(ms)}`);
  return make("figure", "chart", null, make("figcaption", "", title), chart,
    make("small", "", `${ranks.join(" · ")} · mean ${shape.mean_ms} ms · ${shape.count} parts`));
}
