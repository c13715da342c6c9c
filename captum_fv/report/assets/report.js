"use strict";

// Any picture, enlarged. Escape, the button or a click beside it closes it.
const large = document.getElementById("large");
const enlarge = (button) => {
  const small = button.querySelector("img");
  const [img, caption, link] = ["img", "figcaption", "a"].map((tag) => large.querySelector(tag));
  [img.src, img.alt, caption.textContent] = [small.src, small.alt, small.alt];
  link.hidden = !button.dataset.page;
  link.href = button.dataset.page ?? "";
  large.showModal();
};
for (const button of document.querySelectorAll(".zoom")) button.addEventListener("click", () => enlarge(button));
large.querySelector("button").addEventListener("click", () => large.close());
large.addEventListener("click", (event) => { if (event.target === large) large.close(); });

// A name in a chart's legend brings its lines out.
for (const chart of document.querySelectorAll(".chart")) {
  const light = (method) => {
    chart.classList.toggle("lit", method !== null);
    for (const line of chart.querySelectorAll("polyline")) line.classList.toggle("on", line.dataset.method === method);
  };
  for (const key of chart.querySelectorAll(".keys li")) {
    for (const on of ["pointerenter", "focusin"]) key.addEventListener(on, () => light(key.dataset.method));
    for (const off of ["pointerleave", "focusout"]) key.addEventListener(off, () => light(null));
  }
}

// The gallery's filters. The address keeps the choice: report.html#false-matches.
const gallery = document.getElementById("gallery");
if (gallery) {
  const pairs = [...gallery.querySelectorAll(".pair")];
  const form = gallery.querySelector("form");
  const count = gallery.querySelector("output");
  const kinds = [...form.querySelectorAll("[name=kind]")].map((input) => input.value);

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
    const place = location.hash.slice(1);
    const linked = pairs.find((pair) => pair.id === place);
    if (kinds.includes(place)) form.elements.kind.value = place;
    else if (linked?.hidden) form.reset();
    show();
    if (linked) linked.scrollIntoView();
    else if (kinds.includes(place)) gallery.scrollIntoView();
  };
  form.addEventListener("change", (event) => {
    if (event.target.name === "kind") history.replaceState(null, "", `#${event.target.value}`);
    show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", readAddress);
  form.hidden = false;
  readAddress();
}

// Every column head of a table becomes a button that sorts by it, the rows of each model apart.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      for (const body of table.tBodies) sort(body, column, down);
    });
  });
}

function sort(body, column, down) {
  const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const rows = [...body.rows].filter((row) => !row.classList.contains("model"));
  const numbers = rows.every((row) => key(row) !== "" && !isNaN(key(row)));
  const compare = numbers
    ? (a, b) => Number(key(a)) - Number(key(b))
    : (a, b) => key(a).localeCompare(key(b), "en", { numeric: true });
  rows.sort((a, b) => (down ? compare(b, a) : compare(a, b)));
  body.append(...rows);
}
