// What a bundle proves, as a table.
import { make } from "./ask.js";

const percent = (share) => `${(100 * share).toFixed(2)} %`;

export function evidence(told) {
  const e = told.evidence, m = told.moved;
  const rows = [
    ["threshold", told.threshold.toFixed(4)],
    ...(m ? [["moved on this device", `from the bundle's own ${m.was.toFixed(4)} by ${m.by}: ${m.why} (judges since the eye's first start after ${new Date(m.wall_ms).toLocaleString()})`]] : []),
    ["proven", told.proven ? "✓ yes: the evidence meets its target" : "✕ no: the evidence does not meet its target"],
    ["defects tested", `${e.defects}, of which ${e.missed} passed`],
    ["share of defects that pass", `at most ${percent(e.escape_upper)} (target ${percent(e.target_escape)}, ${percent(e.confidence)} sure)`],
    ["good parts tested", `${e.goods}, of which ${e.overkill} were rejected`],
    ["share of good parts rejected", `at most ${percent(e.overkill_upper)}`],
    ["bundle", `${told.product} version ${told.version}, ${told.model}, ${e.groups} groups`],
  ];
  const table = make("table", "lines", null, make("tbody"));
  for (const [name, words] of rows) table.tBodies[0].append(make("tr", "", null, make("th", "", name), make("td", "", words)));
  return table;
}
