"use strict";
// Filter, pairs and viewer of a report. Nothing is read or written outside this document.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const main = document.querySelector("main");
  const toolbar = document.getElementById("toolbar");
  document.documentElement.classList.add("live");
  toolbar.hidden = false;

  // A pair: the range lies over the images and is their handle, for mouse, touch and keyboard.
  const place = (range) => range.closest(".pair").style.setProperty("--at", range.value + "%");
  document.addEventListener("input", (event) => {
    if (event.target.matches(".slide")) place(event.target);
  });
  // A finger that lands anywhere on the images moves the handle there at once.
  document.addEventListener("pointerdown", (event) => {
    const range = event.target;
    if (!(range instanceof Element) || !range.matches(".slide")) return;
    const box = range.getBoundingClientRect();
    const follow = (moved) => {
      range.value = (100 * (moved.clientX - box.left)) / box.width;
      place(range);
    };
    follow(event);
    range.addEventListener("pointermove", follow);
    const end = () => range.removeEventListener("pointermove", follow);
    range.addEventListener("pointerup", end, { once: true });
    range.addEventListener("pointercancel", end, { once: true });
  });

  // The filter.
  const find = document.getElementById("find");
  const count = document.getElementById("count");
  const tests = all(".test");
  const has = (element, words) => {
    const text = element.textContent.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = new Set(all("[name=outcome]:checked").map((box) => box.value));
    let shown = 0;
    for (const test of tests) {
      const prompts = all(".prompt", test);
      const named = words.length === 0 || has(test.querySelector("summary"), words);
      const matching = prompts.filter((row) => named || has(row.querySelector("h4"), words));
      const hidden = !wanted.has(test.dataset.outcome) || !(named || matching.length > 0);
      test.hidden = hidden;
      for (const row of prompts) row.hidden = !matching.includes(row);
      if (!hidden) shown += 1;
    }
    count.textContent = shown === tests.length ? "" : `${shown} of ${tests.length} tests shown`;
    document.getElementById("nothing").hidden = shown > 0 || tests.length === 0;
  };
  find.addEventListener("input", filter);
  toolbar.addEventListener("change", (event) => {
    if (event.target.name === "outcome") filter();
    if (event.target.name === "mode-all") main.dataset.mode = event.target.value;
  });
  toolbar.addEventListener("submit", (event) => event.preventDefault());

  // The viewer: the cell itself moves into the dialog, so that no image is held twice.
  const viewer = document.getElementById("viewer");
  const stage = document.getElementById("stage");
  let home = null;
  const cells = () => all(".cell", main).filter((cell) => cell.querySelector("img") && cell.checkVisibility());
  let order = [];
  const back = () => {
    if (home) home.replaceWith(stage.firstElementChild);
    home = null;
  };
  const show = (cell) => {
    back();
    home = document.createElement("figure");
    home.className = "cell";
    cell.replaceWith(home);
    stage.append(cell);
    document.getElementById("viewer-name").textContent = cell.dataset.name;
    viewer.querySelector(".modes").hidden = !cell.querySelector(".both");
    const at = order.indexOf(cell);
    document.getElementById("previous").disabled = at <= 0;
    document.getElementById("next").disabled = at < 0 || at >= order.length - 1;
  };
  const step = (by) => {
    const next = order[order.indexOf(stage.firstElementChild) + by];
    if (next) show(next);
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".enlarge");
    if (!button) return;
    order = cells();
    const mode = main.dataset.mode;
    stage.dataset.mode = mode;
    for (const radio of all("[name=mode-one]")) radio.checked = radio.value === mode;
    show(button.closest(".cell"));
    viewer.showModal();
  });
  viewer.addEventListener("change", (event) => {
    if (event.target.name === "mode-one") stage.dataset.mode = event.target.value;
  });
  document.getElementById("previous").addEventListener("click", () => step(-1));
  document.getElementById("next").addEventListener("click", () => step(1));
  viewer.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "n") step(1);
    if (event.key === "p") step(-1);
  });
  viewer.addEventListener("close", () => {
    const cell = stage.firstElementChild;
    back();
    if (cell) cell.querySelector(".enlarge").focus({ preventScroll: true });
  });
  viewer.addEventListener("click", (event) => {
    if (event.target === viewer) viewer.close();
  });

  // Paper has no folds.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    for (const details of folded) details.open = true;
    main.dataset.before = main.dataset.mode;
    main.dataset.mode = "side";
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
    main.dataset.mode = main.dataset.before;
  });
})();
