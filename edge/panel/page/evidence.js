// What a bundle proves, as a table.
import { make, say } from "./ask.js";

const percent = (share) => `${(100 * share).toFixed(2)} %`;

export function evidence(told) {
  const e = told.evidence, m = told.moved;
  const moved = m && { was: m.was.toFixed(4), by: m.by, why: m.why, time: new Date(m.wall_ms).toLocaleString(say("locale")) };
  const escape = { upper: percent(e.escape_upper), target: percent(e.target_escape), sure: percent(e.confidence) };
  const rows = [
    [say("threshold"), told.threshold.toFixed(4)],
    ...(m ? [[say("moved"), say("moved_by", moved)]] : []),
    [say("proven"), say(told.proven ? "proven_yes" : "proven_no")],
    [say("defects"), say("defects_of", { all: e.defects, missed: e.missed })],
    [say("escape"), say("escape_of", escape)],
    [say("goods"), say("goods_of", { all: e.goods, overkill: e.overkill })],
    [say("overkill"), say("overkill_of", { upper: percent(e.overkill_upper) })],
    [say("bundle"), say("bundle_of", { product: told.product, version: told.version, model: told.model, groups: e.groups })],
  ];
  const table = make("table", "lines", null, make("tbody"));
  for (const [name, words] of rows) table.tBodies[0].append(make("tr", "", null, make("th", "", name), make("td", "", words)));
  return table;
}
