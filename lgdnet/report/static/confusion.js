// The confusion matrix on a canvas: hundreds of classes, zoomed, ordered, filtered, by mouse, finger or keys.
"use strict";

(() => {
  const LABELS_FROM = 11; // pixels of a cell from which names fit beside it

  class Matrix {
    constructor(figure) {
      this.data = JSON.parse(document.getElementById(figure.dataset.matrix).textContent);
      this.canvas = figure.querySelector("canvas");
      this.readout = figure.querySelector("[data-readout]");
      this.rowSelect = fill(figure.querySelector("[data-row]"), this.data.rows.map((row) => row.name));
      this.orderSelect = fill(figure.querySelector("[data-order]"), Object.keys(this.data.orders));
      this.field = figure.querySelector("[data-classes]");
      this.probe = document.createElement("span"); // resolves colours of the theme
      this.probe.hidden = true;
      figure.append(this.probe);
      this.rowSelect.addEventListener("change", () => this.load());
      this.orderSelect.addEventListener("change", () => this.arrange());
      this.field.addEventListener("input", () => this.arrange());
      figure.querySelectorAll("[data-zoom]").forEach((button) =>
        button.addEventListener("click", () => this.zoom(Number(button.dataset.zoom))),
      );
      figure.querySelector("[data-next]").addEventListener("click", () => this.nextMistake());
      this.listen();
      this.load();
      new ResizeObserver(() => this.draw()).observe(this.canvas);
      document.addEventListener("themechange", () => this.draw());
    }

    // ---- what is shown
    load() {
      const K = this.data.classes.length;
      const packed = this.data.rows[this.rowSelect.selectedIndex].cells;
      this.cells = [];
      this.count = new Map();
      for (let i = 0, place = 0; i < packed.length; i += 2) {
        place += packed[i];
        this.cells.push([Math.floor(place / K), place % K, packed[i + 1]]);
        this.count.set(place, packed[i + 1]);
      }
      this.arrange();
    }

    arrange() {
      const wanted = this.field.value.trim().toLowerCase();
      let order = this.data.orders[this.orderSelect.value];
      if (wanted) {
        const named = new Set(order.filter((k) => this.data.classes[k].toLowerCase().includes(wanted)));
        const kept = new Set(named); // and whatever is taken for them, or they for it
        for (const [i, j] of this.cells) {
          if (named.has(i)) kept.add(j);
          if (named.has(j)) kept.add(i);
        }
        order = order.filter((k) => kept.has(k));
      }
      this.order = order;
      this.place = new Map(order.map((k, i) => [k, i]));
      this.mistakes = this.cells
        .filter(([i, j]) => i !== j && this.place.has(i) && this.place.has(j))
        .sort((a, b) => b[2] - a[2]);
      this.mistake = -1;
      this.selected = null;
      this.view = { x: 0, y: 0, size: Math.max(order.length, 1) };
      this.say(order.length ? `${order.length} classes.` : "No class has such a name.");
      this.draw();
    }

    // ---- drawing
    layout() {
      const side = this.canvas.clientWidth;
      const cell = side / this.view.size;
      const margin = cell >= LABELS_FROM ? Math.min(160, side * 0.3) : 0;
      return { side, margin, cell: (side - margin) / this.view.size };
    }

    draw() {
      const { side, margin, cell } = this.layout();
      if (!side) return;
      this.canvas.classList.toggle("zoomed", this.isZoomed()); // a finger moves the matrix then, not the page
      const scale = window.devicePixelRatio || 1;
      this.canvas.width = this.canvas.height = Math.round(side * scale);
      const ink = this.canvas.getContext("2d");
      ink.scale(scale, scale);
      ink.clearRect(0, 0, side, side);
      const { x, y, size } = this.view;
      const [right, wrong, text] = ["--right", "--wrong", "--ink"].map((name) => this.colour(name));
      ink.save();
      ink.beginPath();
      ink.rect(margin, margin, side - margin, side - margin);
      ink.clip();
      const dot = Math.max(cell - (cell > 6 ? 1 : 0), 1.3);
      for (const [i, j, count] of this.cells) {
        const row = this.place.get(i);
        const column = this.place.get(j);
        if (row === undefined || column === undefined) continue;
        if (row < y - 1 || row > y + size || column < x - 1 || column > x + size) continue;
        ink.globalAlpha = 0.18 + 0.82 * Math.sqrt(count / Math.max(this.data.videos[i], 1));
        ink.fillStyle = i === j ? right : wrong;
        ink.fillRect(margin + (column - x) * cell, margin + (row - y) * cell, dot, dot);
      }
      ink.globalAlpha = 1;
      if (this.selected) {
        const [row, column] = this.selected;
        ink.strokeStyle = text;
        ink.lineWidth = 1;
        ink.globalAlpha = 0.35;
        ink.strokeRect(margin + (column - x) * cell, -1, cell, side + 2);
        ink.strokeRect(-1, margin + (row - y) * cell, side + 2, cell);
        ink.globalAlpha = 1;
        ink.lineWidth = 2;
        ink.strokeRect(margin + (column - x) * cell - 1, margin + (row - y) * cell - 1, cell + 2, cell + 2);
      }
      ink.restore();
      if (margin) this.drawNames(ink, { side, margin, cell, text });
      ink.strokeStyle = text;
      ink.globalAlpha = 0.3;
      ink.strokeRect(margin + 0.5, margin + 0.5, side - margin - 1, side - margin - 1);
    }

    drawNames(ink, { side, margin, cell, text }) {
      ink.globalAlpha = 1;
      ink.fillStyle = text;
      ink.font = `${Math.min(12, cell)}px system-ui, sans-serif`;
      ink.textBaseline = "middle";
      const { x, y } = this.view;
      const middle = (i, from) => margin + (i - from + 0.5) * cell;
      this.order.forEach((k, i) => {
        const name = shortened(ink, this.data.classes[k], margin - 8);
        ink.textAlign = "right";
        if (middle(i, y) > margin && middle(i, y) < side) ink.fillText(name, margin - 5, middle(i, y));
        if (middle(i, x) <= margin || middle(i, x) >= side) return;
        ink.save();
        ink.translate(middle(i, x), margin - 5);
        ink.rotate(-Math.PI / 2);
        ink.textAlign = "left";
        ink.fillText(name, 0, 0);
        ink.restore();
      });
    }

    colour(name) {
      this.probe.style.color = `var(${name})`;
      return getComputedStyle(this.probe).color;
    }

    // ---- moving
    isZoomed() {
      return this.view.size < this.order.length;
    }

    zoom(factor, at = this.selected) {
      const n = this.order.length;
      const { x, y, size } = this.view;
      const next = factor ? Math.min(Math.max(size / factor, Math.min(4, n)), n) : n;
      const [row, column] = at || [y + size / 2, x + size / 2];
      this.view = { size: next, x: column - ((column - x) * next) / size, y: row - ((row - y) * next) / size };
      this.keepInside();
      this.draw();
    }

    keepInside() {
      const limit = this.order.length - this.view.size;
      this.view.x = Math.min(Math.max(this.view.x, 0), limit);
      this.view.y = Math.min(Math.max(this.view.y, 0), limit);
    }

    select(row, column, follow = false) {
      const n = this.order.length;
      if (!n) return;
      row = Math.min(Math.max(row, 0), n - 1);
      column = Math.min(Math.max(column, 0), n - 1);
      this.selected = [row, column];
      if (follow) {
        const { size } = this.view;
        this.view.y = Math.min(Math.max(this.view.y, row + 1 - size), row);
        this.view.x = Math.min(Math.max(this.view.x, column + 1 - size), column);
        this.keepInside();
      }
      this.draw();
      const [i, j] = [this.order[row], this.order[column]];
      const count = this.count.get(i * this.data.classes.length + j) || 0;
      const total = this.data.videos[i];
      const share = total ? ((100 * count) / total).toFixed(1) : "0.0";
      const [a, b] = [this.data.classes[i], this.data.classes[j]];
      this.say(
        i === j
          ? `${a}: ${count} of ${total} videos are right (${share} %).`
          : `${a}, taken for ${b}: ${count} of ${total} videos (${share} %).`,
      );
    }

    nextMistake() {
      if (!this.mistakes.length) return this.say("No mistakes among these classes.");
      this.mistake = (this.mistake + 1) % this.mistakes.length;
      const [i, j] = this.mistakes[this.mistake];
      this.select(this.place.get(i), this.place.get(j), true);
    }

    say(text) {
      this.readout.textContent = text;
    }

    // ---- mouse, finger, keys
    cellAt(event) {
      const box = this.canvas.getBoundingClientRect();
      const { margin, cell } = this.layout();
      const column = Math.floor((event.clientX - box.left - margin) / cell + this.view.x);
      const row = Math.floor((event.clientY - box.top - margin) / cell + this.view.y);
      return [row, column];
    }

    listen() {
      const canvas = this.canvas;
      let grip = null;
      canvas.addEventListener("pointerdown", (event) => {
        this.select(...this.cellAt(event));
        grip = { x: event.clientX, y: event.clientY, view: { ...this.view } };
        if (this.isZoomed()) canvas.setPointerCapture(event.pointerId);
      });
      canvas.addEventListener("pointermove", (event) => {
        if (grip && this.isZoomed()) {
          const { cell } = this.layout();
          this.view.x = grip.view.x - (event.clientX - grip.x) / cell;
          this.view.y = grip.view.y - (event.clientY - grip.y) / cell;
          this.keepInside();
          this.draw();
        } else {
          this.select(...this.cellAt(event));
        }
      });
      for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (grip = null));
      canvas.addEventListener("dblclick", (event) => this.zoom(2, this.cellAt(event)));
      canvas.addEventListener(
        "wheel",
        (event) => {
          if (!event.ctrlKey) return; // the page scrolls
          event.preventDefault();
          this.zoom(event.deltaY < 0 ? 1.25 : 0.8, this.cellAt(event));
        },
        { passive: false },
      );
      canvas.addEventListener("keydown", (event) => this.key(event));
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = event.shiftKey ? 10 : 1;
      const [row, column] = this.selected || [Math.floor(this.view.y), Math.floor(this.view.x)];
      const moves = { ArrowUp: [-step, 0], ArrowDown: [step, 0], ArrowLeft: [0, -step], ArrowRight: [0, step] };
      if (event.key in moves) {
        const [down, right] = moves[event.key];
        this.selected ? this.select(row + down, column + right, true) : this.select(row, column, true);
      } else if (event.key === "+" || event.key === "=") this.zoom(2);
      else if (event.key === "-") this.zoom(0.5);
      else if (event.key === "0") this.zoom(0);
      else if (event.key === "n" || event.key === "N") this.nextMistake();
      else return;
      event.preventDefault();
    }
  }

  function fill(select, names) {
    for (const name of names) select.add(new Option(name, name));
    return select;
  }

  function shortened(ink, name, width) {
    if (ink.measureText(name).width <= width) return name;
    let [low, high] = [0, Math.min(name.length, 200)];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (ink.measureText(`${name.slice(0, middle)}…`).width <= width) low = middle;
      else high = middle - 1;
    }
    return `${name.slice(0, low)}…`;
  }

  document.querySelectorAll("[data-matrix]").forEach((figure) => new Matrix(figure));
})();
