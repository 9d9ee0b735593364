// What is chosen becomes the two links; the browser saves what they give.
import { at, get, make } from "./ask.js";

let by = "time";

function chosen() {
  if (by === "lot") return { lot: at("other").value.trim() || at("lot").value };
  return { day: at("day").value, ...(at("shift")?.value ? { shift: at("shift").value } : {}) };
}

function link() {
  const asked = chosen(), isWhole = Boolean(asked.lot || asked.day);
  for (const [id, name] of [["parts", "parts.csv"], ["pictures", "pictures.zip"]]) {
    if (isWhole) at(id).href = `/export/${name}?${new URLSearchParams(asked)}`;
    else at(id).removeAttribute("href");
  }
}

at("by").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  by = button.dataset.by;
  for (const each of at("by").children) each.classList.toggle("on", each === button);
  for (const each of ["time", "lot"]) at(`by_${each}`).hidden = each !== by;
  link();
});

const now = new Date();
at("day").value = [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((each) => String(each).padStart(2, "0")).join("-");
addEventListener("input", link);
link();
const { lots } = await get("/api/lots").catch(() => ({ lots: [] }));
at("lot").replaceChildren(...lots.map((each) => make("option", "", each.lot)));
link();
