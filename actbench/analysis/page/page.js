// The page can be read without this. It adds: dark and light, sorting, filtering, another baseline, series on and off,
// one activation highlighted everywhere, a box with the value under the pointer or reached by arrow keys, and it opens
// everything before printing. It fetches nothing and makes no text into HTML.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const make = (tag, text) => {
    const element = document.createElement(tag);
    element.textContent = text;
    return element;
  };
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));
  const isPressed = (button) => button.getAttribute("aria-pressed") === "true";

  for (const box of all(".controls")) box.hidden = false;

  // ---- dark and light
  const theme = one("#theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";
  press(theme, isDark());
  prefersDark.addEventListener("change", () => press(theme, isDark()));
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    press(theme, isDark());
  });

  // ---- open all, also before printing
  const openAll = one("#open-all");
  openAll.addEventListener("click", () => {
    const open = !isPressed(openAll);
    for (const details of all("details")) details.open = open;
    press(openAll, open);
  });
  const closed = [];
  addEventListener("beforeprint", () => {
    const now = all("details:not([open])");
    for (const details of now) details.open = true;
    closed.push(...now); // a browser may announce a print twice
  });
  addEventListener("afterprint", () => {
    for (const details of closed.splice(0)) details.open = false;
  });
  const openTarget = () => {
    let element = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!element) return;
    for (let up = element; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
    element.scrollIntoView();
  };
  addEventListener("hashchange", openTarget);
  openTarget();

  // ---- sorting: numbers by their exact value, words by their letters, what is unknown last
  const number = (cell) => {
    if ("value" in cell.dataset) return Number(cell.dataset.value);
    const text = cell.textContent.trim().replace(/,/g, "").replace("\u2212", "-");
    return text === "" ? NaN : parseFloat(text);
  };
  const sortRows = (table, column, down, numeric) => {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const keyed = rows.map((row, place) => {
      const cell = row.cells[column];
      return { row, place, key: numeric ? number(cell) : cell.textContent.trim() };
    });
    keyed.sort((a, b) => {
      if (numeric) {
        const gone = Number.isNaN(a.key) - Number.isNaN(b.key);
        const difference = Number.isNaN(a.key) ? 0 : a.key - b.key;
        return gone || (down ? -difference : difference) || a.place - b.place;
      }
      const order = a.key.localeCompare(b.key, "en", { numeric: true });
      return (down ? -order : order) || a.place - b.place;
    });
    body.append(...keyed.map((item) => item.row));
  };
  for (const table of all("table.rows")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", "\u2195");
      button.type = "button";
      button.className = "sort";
      const name = head.textContent.trim().replace(/\s+/g, " ");
      const numeric = head.classList.contains("number") ||
        [...table.tBodies[0].rows].some((row) => "value" in row.cells[column].dataset);
      button.setAttribute("aria-label", `Sort by ${name}`);
      press(button, false);
      head.append(button);
      button.addEventListener("click", () => {
        const was = head.getAttribute("aria-sort");
        const down = was ? was === "ascending" : numeric;
        for (const other of heads) {
          other.removeAttribute("aria-sort");
          const its = one("button.sort", other);
          its.textContent = "\u2195";
          press(its, false);
        }
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        button.textContent = down ? "\u2193" : "\u2191";
        press(button, true);
        sortRows(table, column, down, numeric);
      });
    });
  }

  // ---- filter, and another baseline
  for (const section of all(".comparison")) {
    const filter = one(".filter", section);
    const count = one(".filter-count", section);
    const rows = all("tr[data-row]", section);
    const apply = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) {
        const text = `${row.dataset.row} ${row.textContent}`.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
      const table = one(".baseline-table:not([hidden])", section);
      const own = all("tr[data-row]", table);
      count.textContent = words.length ? `${own.filter((row) => !row.hidden).length} of ${own.length} rows` : "";
    };
    filter.addEventListener("input", apply);
    const choice = one(".baseline-choice", section);
    if (!choice) continue;
    const folded = one(".baselines", section);
    const note = one(".caption", folded);
    const tables = all(".baseline-table", section);
    const choose = () => {
      for (const table of tables) table.hidden = table.dataset.baseline !== choice.value;
      note.hidden = choice.value === "0";
      apply();
    };
    folded.before(...tables, note);
    folded.hidden = true;
    choice.addEventListener("change", choose);
    choose();
  }

  // ---- one activation highlighted in all charts and tables
  const buttons = all("#activations button");
  const marked = all("[data-activation]").filter((element) => !element.closest("#activations"));
  const highlight = (name) => {
    for (const button of buttons) press(button, button.dataset.activation === name);
    for (const element of marked) {
      const own = element.dataset.activation === name;
      element.classList.toggle("dim", name !== null && !own);
      element.classList.toggle("lit", name !== null && own && element.tagName === "TR");
    }
  };
  for (const button of buttons) {
    button.addEventListener("click", () => highlight(isPressed(button) ? null : button.dataset.activation));
  }
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") highlight(null);
  });

  // ---- charts: series on and off, and the value under the pointer
  const tip = one("#tip");
  const NEAR = 16; // pixels from a mark within which it is meant
  // A button shows a copy of its series' piece of line, in a picture of its own.
  const keyOf = (number, svg) => {
    const key = one(`[data-series="${number}"] .key, .key[data-series="${number}"]`, svg);
    const box = key && key.getBBox();
    if (!box || !box.width) return null;
    const picture = document.createElementNS(svg.namespaceURI, "svg");
    const copy = key.cloneNode(true);
    for (const title of all("title", copy)) title.remove();
    copy.removeAttribute("class");
    const [width, height] = [box.width + 6, 10];
    picture.setAttribute("viewBox", `${box.x - 3} ${box.y + box.height / 2 - height / 2} ${width} ${height}`);
    picture.setAttribute("width", String(width * 1.4));
    picture.setAttribute("height", String(height * 1.4));
    picture.setAttribute("aria-hidden", "true");
    picture.append(copy);
    return picture;
  };
  for (const chart of all(".chart")) {
    const svg = one(".chart-svg", chart);
    one(".series", chart).hidden = false;
    for (const item of all(".series li", chart)) {
      const button = make("button", "");
      button.type = "button";
      button.dataset.series = item.dataset.series;
      button.append(...item.childNodes);
      const key = keyOf(item.dataset.series, svg);
      if (key) {
        for (const dot of all(".dot", button)) dot.remove();
        button.prepend(key);
      }
      item.append(button);
      press(button, true);
      button.addEventListener("click", () => {
        const on = !isPressed(button);
        press(button, on);
        item.classList.toggle("off", !on);
        for (const part of all(`[data-series="${item.dataset.series}"]`, svg)) part.classList.toggle("off", !on);
        hide();
      });
    }
    const legend = one(".legend", svg); // the buttons stand for it, but not on paper
    if (legend) {
      const { width, height } = svg.viewBox.baseVal;
      svg.style.setProperty("--cut", `${width}/${Math.min(height, legend.getBBox().y)}`);
      svg.classList.add("keyed");
    }
    const marks = all(".mark", svg);
    let places = null;
    let pointed = null;
    let title = null;
    const center = (mark) => {
      const box = mark.getBoundingClientRect();
      return [box.left + box.width / 2, box.top + box.height / 2];
    };
    const hide = () => {
      if (pointed) {
        pointed.classList.remove("pointed");
        if (title) pointed.prepend(title);
      }
      pointed = title = null;
      tip.hidden = true;
    };
    const show = (mark) => {
      if (mark !== pointed) {
        hide();
        pointed = mark;
        title = one("title", mark);
        if (!title) return;
        tip.textContent = title.textContent;
        title.remove(); // the browser would show it as well
        mark.classList.add("pointed");
      }
      tip.hidden = false;
      const [x, y] = center(mark);
      const left = Math.min(Math.max(8, x + 12), innerWidth - tip.offsetWidth - 8);
      const top = y + 14 + tip.offsetHeight > innerHeight ? y - 14 - tip.offsetHeight : y + 14;
      tip.style.transform = `translate(${Math.max(8, left)}px,${Math.max(8, top)}px)`;
    };
    const visible = () => marks.filter((mark) => !mark.closest(".off"));
    svg.addEventListener("pointerenter", () => {
      const box = svg.getBoundingClientRect();
      places = visible().map((mark) => {
        const [x, y] = center(mark);
        return [mark, x - box.left, y - box.top];
      });
    });
    svg.addEventListener("pointermove", (event) => {
      const under = event.target.closest(".mark");
      if (under) return show(under);
      const box = svg.getBoundingClientRect();
      const x = event.clientX - box.left;
      const y = event.clientY - box.top;
      let best = null;
      let least = NEAR * NEAR;
      for (const [mark, left, top] of places || []) {
        const distance = (left - x) ** 2 + (top - y) ** 2;
        if (distance < least) [best, least] = [mark, distance];
      }
      if (best) show(best);
      else hide();
    });
    svg.addEventListener("pointerleave", hide);
    svg.tabIndex = 0;
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
      if (event.key === "Escape") hide();
      if (!(event.key in steps)) return;
      event.preventDefault();
      const there = visible();
      if (!there.length) return;
      const place = there.indexOf(pointed);
      const next = place < 0 ? (steps[event.key] > 0 ? 0 : there.length - 1) : place + steps[event.key];
      show(there[(next + there.length) % there.length]);
    });
  }
})();
