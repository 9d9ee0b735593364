// The picture on the page: zoom, move, and a brush. All sizes are pixels of the picture unless they say screen.

const PART_AT_MOST = 2048; // as views.py
const SETTLED_MS = 120;

export class PictureView {
  // fetchPart(left, top, width, height) gives an ImageBitmap; onStroke(stroke) is told what was painted
  constructor(below, above, fetchPart, onStroke) {
    this.below = below;
    this.above = above;
    this.fetchPart = fetchPart;
    this.onStroke = onStroke;
    this.shown = null;
    this.part = null;
    this.mask = document.createElement("canvas");
    this.maskHidden = false;
    this.painting = false;
    this.erasing = false;
    this.radius = 8;
    this.pointer = null;
    this.fingers = new Map();
    this.stroke = null;
    new ResizeObserver(() => this.resized()).observe(below.parentElement);
    this.listen();
  }

  show(shown, mask) {
    const sameSize = this.shown && this.shown.width === shown.width && this.shown.height === shown.height;
    this.shown = shown;
    this.part = null;
    this.stroke = null;
    this.setMask(mask);
    if (!sameSize || !this.placed) this.fit();
    this.changed();
  }

  clear() {
    this.shown = null;
    this.draw();
  }

  setMask(bitmap) {
    if (!this.shown) return;
    this.mask.width = this.shown.bitmap.width;
    this.mask.height = this.shown.bitmap.height;
    if (bitmap) this.mask.getContext("2d").drawImage(bitmap, 0, 0);
    this.draw();
  }

  // --- where it is: x on the screen = left + scale * x in the picture ---

  fit() {
    const { clientWidth, clientHeight } = this.above;
    this.scale = Math.min(clientWidth / this.shown.width, clientHeight / this.shown.height, 8);
    this.left = (clientWidth - this.shown.width * this.scale) / 2;
    this.top = (clientHeight - this.shown.height * this.scale) / 2;
    this.fitted = true;
    this.placed = clientWidth > 0;
  }

  toggleZoom() {
    if (!this.shown) return;
    const oneToOne = 1 / devicePixelRatio;
    if (this.fitted) this.zoom((this.scale < oneToOne ? oneToOne : this.scale * 3) / this.scale);
    else this.fit();
    this.changed();
  }

  zoom(factor, at = this.pointer ?? { x: this.above.clientWidth / 2, y: this.above.clientHeight / 2 }) {
    if (!this.shown) return;
    const scale = Math.min(40, Math.max(0.02, this.scale * factor));
    this.left = at.x - ((at.x - this.left) * scale) / this.scale;
    this.top = at.y - ((at.y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.changed();
  }

  move(dx, dy) {
    this.left += dx;
    this.top += dy;
    this.fitted = false;
    this.changed();
  }

  toPicture(at) {
    return [(at.x - this.left) / this.scale, (at.y - this.top) / this.scale];
  }

  resized() {
    for (const canvas of [this.below, this.above]) {
      canvas.width = Math.round(canvas.clientWidth * devicePixelRatio);
      canvas.height = Math.round(canvas.clientHeight * devicePixelRatio);
    }
    if (this.shown && (this.fitted || !this.placed)) this.fit();
    this.changed();
  }

  changed() {
    this.draw();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.sharpen(), SETTLED_MS);
  }

  // A large picture comes shrunk; where it is enlarged beyond that, the visible part is fetched at full size.
  async sharpen() {
    const shown = this.shown;
    if (!shown || shown.bitmap.width >= shown.width) return;
    if (this.scale * devicePixelRatio <= shown.bitmap.width / shown.width) return;
    const [left, top] = this.toPicture({ x: 0, y: 0 }).map((value) => Math.max(0, Math.floor(value)));
    const [right, bottom] = this.toPicture({ x: this.above.clientWidth, y: this.above.clientHeight }).map(Math.ceil);
    const width = Math.min(right, shown.width) - left;
    const height = Math.min(bottom, shown.height) - top;
    if (width < 1 || height < 1 || Math.max(width, height) > PART_AT_MOST) return;
    const bitmap = await this.fetchPart(shown.number, left, top, width, height);
    if (bitmap && this.shown === shown) {
      this.part = { bitmap, left, top, width, height };
      this.draw();
    }
  }

  // --- drawing ---

  draw() {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.drawNow();
    });
  }

  drawNow() {
    const below = this.below.getContext("2d");
    const above = this.above.getContext("2d");
    for (const context of [below, above]) {
      context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
      context.clearRect(0, 0, this.above.clientWidth, this.above.clientHeight);
      context.imageSmoothingEnabled = this.scale * devicePixelRatio < 2;
      context.imageSmoothingQuality = "high";
    }
    if (!this.shown) return;
    const size = [this.shown.width * this.scale, this.shown.height * this.scale];
    below.drawImage(this.shown.bitmap, this.left, this.top, ...size);
    if (this.part) {
      const { bitmap, left, top, width, height } = this.part;
      below.drawImage(
        bitmap, this.left + left * this.scale, this.top + top * this.scale, width * this.scale, height * this.scale,
      );
    }
    if (!this.maskHidden) {
      above.globalAlpha = 0.5;
      above.drawImage(this.mask, this.left, this.top, ...size);
      above.globalAlpha = 1;
    }
    if (this.painting && this.pointer) this.drawRing(above);
  }

  drawRing(context) {
    context.beginPath();
    context.arc(this.pointer.x, this.pointer.y, Math.max(1, this.radius * this.scale), 0, 2 * Math.PI);
    context.strokeStyle = this.erasing ? "#ffffff" : "#ff4040";
    context.lineWidth = 1.5;
    context.stroke();
  }

  // --- mouse, pen, fingers ---

  listen() {
    const canvas = this.above;
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.up(event, true));
    canvas.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.draw();
    });
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY / (event.ctrlKey ? 100 : 400)), this.at(event));
      },
      { passive: false },
    );
  }

  at(event) {
    const box = this.above.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  down(event) {
    if (!this.shown) return;
    this.above.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, this.at(event));
    if (this.fingers.size > 1) {
      this.dropStroke(); // a second finger: they zoom
    } else if (this.painting && event.button !== 1) {
      this.stroke = { points: [], radius: this.radius, erase: this.erasing || event.button === 2 };
      this.paintTo(this.at(event));
    }
  }

  moved(event) {
    const at = this.at(event);
    const before = this.fingers.get(event.pointerId);
    this.pointer = event.pointerType === "touch" && !before ? null : at;
    if (before) {
      this.fingers.set(event.pointerId, at);
      if (this.stroke) for (const each of event.getCoalescedEvents?.() ?? [event]) this.paintTo(this.at(each));
      else if (this.fingers.size === 2) this.pinch(event.pointerId, before, at);
      else this.move(at.x - before.x, at.y - before.y);
    }
    this.draw();
  }

  pinch(finger, before, at) {
    const [other] = [...this.fingers].filter(([number]) => number !== finger).map(([, place]) => place);
    const distance = (place) => Math.max(10, Math.hypot(place.x - other.x, place.y - other.y));
    const middle = (place) => ({ x: (place.x + other.x) / 2, y: (place.y + other.y) / 2 });
    this.move(middle(at).x - middle(before).x, middle(at).y - middle(before).y);
    this.zoom(distance(at) / distance(before), middle(at));
  }

  up(event, cancelled = false) {
    this.fingers.delete(event.pointerId);
    if (event.pointerType === "touch") this.pointer = null;
    if (!this.stroke) return;
    if (cancelled) return this.dropStroke();
    const { points, radius, erase } = this.stroke;
    this.stroke = null;
    this.onStroke({ points, radius, erase });
  }

  dropStroke() {
    if (!this.stroke) return;
    this.stroke = null;
    this.onStroke(null);
  }

  paintTo(at) {
    const { points, radius, erase } = this.stroke;
    const next = this.toPicture(at).map((value) => Math.round(value * 10) / 10);
    const last = points.at(-1);
    if (last && Math.hypot(next[0] - last[0], next[1] - last[1]) < Math.max(0.5, radius / 8)) return;
    if (points.length >= 5000 || next.some((value) => Math.abs(value) > 99_999)) return;
    points.push(next);
    const context = this.mask.getContext("2d");
    const shrunk = this.mask.width / this.shown.width;
    context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    context.strokeStyle = "#ff2828";
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = Math.max(1, 2 * radius * shrunk);
    context.beginPath();
    context.moveTo(...(last ?? next).map((value) => value * shrunk));
    context.lineTo(...next.map((value) => value * shrunk));
    context.stroke();
    this.draw();
  }
}
