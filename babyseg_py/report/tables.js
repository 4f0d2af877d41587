"use strict";
// Tables that sort by a click on a heading and show the rows that hold what is typed above them.
(() => {
  const FEWEST_TO_FILTER = 8;
  const plain = text => text.trim().replace(/\u2212/g, "-").replace(/[\u202f\u00a0]/g, "");
  const missing = text => text === "" || text === "n/a";
  // The first number of a cell, so that "< 0.001" and "0.1 to 0.5" have a place too.
  const numeric = text => {
    const found = text.match(/^(<?)\s*(-?\d[\d,]*\.?\d*(?:e[-+]?\d+)?)/i);
    return found ? Number(found[2].replace(/,/g, "")) - (found[1] ? 1e-12 : 0) : NaN;
  };
  const compare = (a, b) => {
    const x = numeric(a), y = numeric(b);
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    return a.localeCompare(b, "en", {numeric: true});
  };

  const sort = (table, column, heading) => {
    const descending = heading.getAttribute("aria-sort") === "ascending";
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row, place) => [plain(row.cells[column].textContent), place, row]);
    keyed.sort((a, b) => {
      if (missing(a[0]) !== missing(b[0])) return missing(a[0]) ? 1 : -1;
      return (descending ? -1 : 1) * compare(a[0], b[0]) || a[1] - b[1];
    });
    body.append(...keyed.map(item => item[2]));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  };

  const addFilter = (box, table, name) => {
    const rows = [...table.tBodies[0].rows];
    const texts = rows.map(row => plain([...row.cells].map(cell => cell.textContent).join(" ")).toLowerCase());
    const line = document.createElement("p");
    const label = document.createElement("label");
    const input = document.createElement("input");
    const shown = document.createElement("span");
    line.className = "filter";
    input.type = "search";
    label.append("Filter ", input);
    input.setAttribute("aria-label", `Filter the rows: ${name}`);
    shown.setAttribute("role", "status");
    input.addEventListener("input", () => {
      const words = plain(input.value).toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      rows.forEach((row, place) => {
        row.hidden = !words.every(word => texts[place].includes(word));
        count += row.hidden ? 0 : 1;
      });
      shown.textContent = words.length ? `${count} of ${rows.length} rows` : "";
    });
    line.append(label, " ", shown);
    box.before(line);
  };

  for (const box of document.querySelectorAll(".scroll")) {
    const table = box.querySelector("table");
    if (table.tBodies[0].rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => sort(table, column, heading));
    });
    if (table.tBodies[0].rows.length >= FEWEST_TO_FILTER) addFilter(box, table, box.getAttribute("aria-label"));
  }
})();
