"use strict";

// The gallery's filters. The address keeps the choice: report.html#false-matches.
const gallery = document.getElementById("gallery");
if (gallery) {
  const pairs = [...gallery.querySelectorAll(".pair")];
  const form = gallery.querySelector("form");
  const count = gallery.querySelector("output");
  const kinds = [...form.elements.kind].map((input) => input.value);

  const show = () => {
    const kind = form.elements.kind.value;
    const model = form.elements.model ? form.elements.model.value : "";
    for (const pair of pairs) {
      const wanted = kind === "all" || pair.dataset.kinds.split(" ").includes(kind);
      pair.hidden = !wanted || (model !== "" && pair.dataset.model !== model);
    }
    const shown = pairs.filter((pair) => !pair.hidden).length;
    count.textContent = `${shown} of ${pairs.length} pairs`;
  };
  const readAddress = () => {
    const kind = location.hash.slice(1);
    if (kinds.includes(kind)) form.elements.kind.value = kind;
    show();
  };
  form.addEventListener("change", (event) => {
    if (event.target.name === "kind") history.replaceState(null, "", `#${event.target.value}`);
    show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", readAddress);
  form.hidden = false;
  readAddress();
  if (kinds.includes(location.hash.slice(1))) gallery.scrollIntoView();
}

// Every column head of a table becomes a button that sorts by it.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const order = (a, b) => key(a).localeCompare(key(b), "en", { numeric: true });
      const numbers = (a, b) => Number(key(a)) - Number(key(b));
      const rows = [...table.tBodies[0].rows];
      const compare = rows.every((row) => key(row) !== "" && !isNaN(key(row))) ? numbers : order;
      rows.sort((a, b) => (down ? compare(b, a) : compare(a, b)));
      table.tBodies[0].append(...rows);
    });
  });
}
