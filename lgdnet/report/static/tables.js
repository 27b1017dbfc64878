// Tables that sort by a click on a heading and show only the rows that hold every word of the filter.
"use strict";

(() => {
  const number = (text) => {
    const found = text.replace(/,/g, "").replace("−", "-").match(/[-+]?\d+(\.\d+)?(e[-+]?\d+)?/i);
    if (!found) return NaN;
    const unit = / (s|min|h)$/.exec(text); // times are written in the unit that reads best
    return parseFloat(found[0]) * (unit ? { s: 1, min: 60, h: 3600 }[unit[1]] : 1);
  };
  const words = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  function sort(table, place, descending) {
    const body = table.tBodies[0];
    const isNumber = table.tHead.rows[0].cells[place].classList.contains("number");
    const keyed = [...body.rows].map((row, i) => {
      const text = row.cells[place].textContent;
      return { row, i, text, value: isNumber ? number(text) : 0 };
    });
    const sign = descending ? -1 : 1;
    keyed.sort((a, b) => {
      if (!isNumber) return sign * words.compare(a.text, b.text) || a.i - b.i;
      if (isNaN(a.value) || isNaN(b.value)) return isNaN(a.value) - isNaN(b.value) || a.i - b.i; // nothing goes last
      return sign * (a.value - b.value) || a.i - b.i;
    });
    const all = document.createDocumentFragment();
    for (const { row } of keyed) all.append(row);
    body.append(all);
  }

  function makeSortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const first = head.classList.contains("number") ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        heads.forEach((one) => one.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", before === first ? other : first);
        sort(table, place, head.getAttribute("aria-sort") === "descending");
      });
    });
  }

  function makeFilterable(field) {
    const block = field.closest(".table");
    const rows = [...block.querySelector("tbody").rows];
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const count = block.querySelector("[data-count]");
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, i) => {
        row.hidden = !wanted.every((word) => texts[i].includes(word));
        shown += !row.hidden;
      });
      count.textContent = wanted.length
        ? `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`
        : `${rows.length.toLocaleString("en")} rows`;
    });
  }

  document.querySelectorAll("table[data-sortable]").forEach(makeSortable);
  document.querySelectorAll("[data-filter]").forEach(makeFilterable);

  // A table that is cut at the right says so.
  for (const box of document.querySelectorAll(".table .scroll")) {
    const tell = () =>
      box.parentElement.classList.toggle("more", box.scrollWidth - box.clientWidth - box.scrollLeft > 2);
    box.addEventListener("scroll", tell, { passive: true });
    new ResizeObserver(tell).observe(box);
  }
})();
