// Search and sort the table of all scores.
const table = document.querySelector("table.scores");
const body = table.tBodies[0];
const field = document.createElement("input");
field.type = "search";
field.className = "scores-search";
field.placeholder = "Search: viruses, F1, genomes ...";
field.setAttribute("aria-label", "Search scores");
table.before(field);
field.addEventListener("input", () => {
  const words = field.value.toLowerCase().split(/\s+/);
  for (const row of body.rows) {
    const text = `${row.cells[0].textContent} ${row.cells[1].textContent}`.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
});
const key = (row, column) => {
  const text = row.cells[column].textContent;
  return column < 2 ? text : parseFloat(text) || -Infinity;
};
[...table.tHead.rows[0].cells].forEach((cell, column) => {
  cell.addEventListener("click", () => {
    const rows = [...body.rows];
    const sign = cell.dataset.sign === "1" ? -1 : 1;
    cell.dataset.sign = sign;
    const order = column < 2 ? sign : -sign; // scores: highest first
    rows.sort((a, b) => (key(a, column) < key(b, column) ? -order : order));
    body.append(...rows);
  });
});
