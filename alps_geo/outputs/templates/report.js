"use strict";
const find = id => document.getElementById(id);
const scenes = [...document.querySelectorAll(".scene")];
const readout = find("readout");
const meanings = {};
for (const [title, entries] of Object.entries(legends)) {
  meanings[title] = {};
  for (const [color, text] of entries) (meanings[title][color] ??= []).push(text);
}
const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const valueOf = (id, otherwise) => find(id)?.value ?? otherwise;

class View {
  constructor(stage) {
    this.stage = stage;
    this.pan = stage.querySelector(".pan");
    this.line = stage.querySelector(".line");
    this.width = +stage.dataset.width;
    this.height = +stage.dataset.height;
    this.pan.style.width = this.width + "px";
    this.pan.style.height = this.height + "px";
    this.pointers = new Map();
    this.fitted = true;
    new ResizeObserver(() => this.resize()).observe(stage);
    this.listen();
  }

  get fit() {
    return Math.min(this.stage.clientWidth / this.width, this.stage.clientHeight / this.height);
  }

  resize() {
    if (!this.stage.clientWidth) return;
    if (this.fitted) this.showAll(); else this.draw();
  }

  showAll() {
    this.fitted = true;
    this.scale = this.fit;
    this.x = (this.stage.clientWidth - this.width * this.scale) / 2;
    this.y = (this.stage.clientHeight - this.height * this.scale) / 2;
    this.draw();
  }

  zoom(factor, x = this.stage.clientWidth / 2, y = this.stage.clientHeight / 2) {
    const scale = Math.min(Math.max(this.scale * factor, this.fit), 32);
    if (scale <= this.fit * 1.001) { this.showAll(); return; }
    this.fitted = false;
    this.x = x - (x - this.x) * scale / this.scale;
    this.y = y - (y - this.y) * scale / this.scale;
    this.scale = scale;
    this.draw();
  }

  move(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.draw();
  }

  inside(offset, length, room) {
    const shown = length * this.scale;
    return shown <= room ? (room - shown) / 2 : Math.min(0, Math.max(room - shown, offset));
  }

  draw() {
    const room = this.stage.clientWidth;
    this.x = this.inside(this.x, this.width, room);
    this.y = this.inside(this.y, this.height, this.stage.clientHeight);
    this.pan.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.stage.classList.toggle("zoomed", !this.fitted);
    const [swipe, title] = [this.line ? valueOf("swipe", 0) / 100 : 0, valueOf("choose-map")];
    const cut = Math.max(0, (swipe * room - this.x) / this.scale);
    const lines = valueOf("lines", "none");
    if (this.line) this.line.style.left = swipe * room + "px";
    for (const image of this.pan.children) {
      const over = !image.classList.contains("imagery");
      image.style.imageRendering = this.scale * devicePixelRatio >= (over ? 1 : 4) ? "pixelated" : "auto";
      if (image.classList.contains("map")) {
        image.hidden = title !== undefined && image.dataset.title !== title;
        image.style.clipPath = `inset(0 0 0 ${cut}px)`;
        image.style.opacity = valueOf("fade", 100) / 100;
      } else if (over) {
        image.hidden = lines === "none";
        image.style.filter = lines === "black" ? "invert(1)" : "none";
      }
    }
  }

  tell(x, y) {
    const map = [...this.pan.querySelectorAll(".map")].find(image => !image.hidden);
    if (!map?.naturalWidth) return;
    const [col, row] = [(x - this.x) / this.scale / this.width, (y - this.y) / this.scale / this.height];
    if (col < 0 || row < 0 || col >= 1 || row >= 1) { readout.textContent = ""; return; }
    pixel.clearRect(0, 0, 1, 1);
    pixel.drawImage(map, Math.floor(col * map.naturalWidth), Math.floor(row * map.naturalHeight), 1, 1, 0, 0, 1, 1);
    const [red, green, blue, alpha] = pixel.getImageData(0, 0, 1, 1).data;
    const color = "#" + [red, green, blue].map(part => part.toString(16).padStart(2, "0")).join("");
    const found = alpha ? meanings[map.dataset.title]?.[color] ?? [] : ["no label"];
    readout.textContent = found.join(", or ");
  }

  tellCentre() { this.tell(this.stage.clientWidth / 2, this.stage.clientHeight / 2); }

  listen() {
    const stage = this.stage;
    const at = event => {
      const box = stage.getBoundingClientRect();
      return [event.clientX - box.left - stage.clientLeft, event.clientY - box.top - stage.clientTop];
    };
    stage.addEventListener("keydown", event => {
      const step = Math.min(stage.clientWidth, stage.clientHeight) / 8;
      const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
      const zooms = { "+": 1.5, "=": 1.5, "-": 1 / 1.5 };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (moves[event.key] && !this.fitted) this.move(...moves[event.key]);
      else if (zooms[event.key]) this.zoom(zooms[event.key]);
      else if (event.key === "0") this.showAll();
      else return;
      event.preventDefault();
      this.tellCentre();
    });
    stage.addEventListener("focus", () => { if (stage.matches(":focus-visible")) this.tellCentre(); });
    stage.addEventListener("wheel", event => {
      if (!event.ctrlKey && document.activeElement !== stage) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 300), ...at(event));
    }, { passive: false });
    stage.addEventListener("dblclick", event => this.zoom(2, ...at(event)));
    stage.addEventListener("pointerdown", event => {
      this.swiping = event.target === this.line;
      this.pointers.set(event.pointerId, at(event));
      stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointermove", event => this.drag(event, at(event)));
    for (const end of ["pointerup", "pointercancel"])
      stage.addEventListener(end, event => this.pointers.delete(event.pointerId));
  }

  drag(event, now) {
    const before = this.pointers.get(event.pointerId);
    if (!before) { this.tell(...now); return; }
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    this.pointers.set(event.pointerId, now);
    if (this.swiping) {
      find("swipe").value = 100 * now[0] / this.stage.clientWidth;
      this.draw();
    } else if (others.length) {
      const apart = point => Math.hypot(point[0] - others[0][0], point[1] - others[0][1]);
      this.zoom(apart(now) / Math.max(apart(before), 1), (now[0] + others[0][0]) / 2, (now[1] + others[0][1]) / 2);
    } else if (!this.fitted) {
      this.move(now[0] - before[0], now[1] - before[1]);
    }
  }
}

document.documentElement.classList.add("live");
document.querySelector(".controls").hidden = false;
const views = scenes.map(scene => scene.querySelector(".stage")).map(stage => stage && new View(stage));
const shown = () => views[valueOf("choose-scene", 0)];
function show() {
  scenes.forEach((scene, index) => { scene.hidden = index !== +valueOf("choose-scene", 0); });
  readout.textContent = "";
  shown()?.resize();
}
find("choose-scene")?.addEventListener("change", show);
for (const id of ["choose-map", "swipe", "fade", "lines"]) find(id)?.addEventListener("input", () => shown()?.draw());
find("closer")?.addEventListener("click", () => shown()?.zoom(1.5));
find("farther")?.addEventListener("click", () => shown()?.zoom(1 / 1.5));
find("whole")?.addEventListener("click", () => shown()?.showAll());
show();
