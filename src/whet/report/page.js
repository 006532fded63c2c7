"use strict";
// Makes column heads sort their table, and unfolds everything for printing. The page reads well without it.
for (const table of document.querySelectorAll("table")) {
  // A candidate is a body of its own: its figures, and a row that says why it lost.
  const grouped = table.classList.contains("candidates");
  const units = () => Array.from(grouped ? table.tBodies : table.tBodies[0].rows);
  if (!table.tBodies[0] || units().length < 3) continue;
  if (table.classList.contains("takes")) continue; // its rows have different units
  table.tHead.querySelectorAll("th").forEach((head, column) => {
    if (head.classList.contains("bar")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      table.tHead.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const numeric = head.classList.contains("num");
      const key = (unit) => {
        const cell = (grouped ? unit.rows[0] : unit).cells[column];
        if (!numeric) return cell.textContent;
        return cell.dataset.v === undefined ? NaN : Number(cell.dataset.v);
      };
      const rows = units();
      rows.sort((a, b) => {
        const x = key(a), y = key(b);
        if (numeric) {
          // What wasn't measured stays last either way.
          if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
          return down ? y - x : x - y;
        }
        return down ? y.localeCompare(x) : x.localeCompare(y);
      });
      (grouped ? table : table.tBodies[0]).append(...rows);
    });
  });
}
const unfold = () => document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
window.addEventListener("beforeprint", unfold);
// A mark of the plot links to a row that may be folded away.
const follow = () => {
  const row = location.hash && document.getElementById(location.hash.slice(1));
  const fold = row && row.closest("details");
  if (fold) { fold.open = true; row.scrollIntoView({ block: "center" }); }
};
window.addEventListener("hashchange", follow);
follow();
