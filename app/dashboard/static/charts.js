// Draws every figure[data-chart]: its JSON says what there is, the table beside it says the same in
// words. uPlot makes axes and scales; the marks are drawn here, by role.
"use strict";
{
  // How a role looks. Never by colour alone: the mark or the dash differs too.
  const failed = (mark) => ({ colour: "--chart-failed", mark, size: 4.5 });
  const LOOKS = {
    chosen: { colour: "--chart-chosen", mark: "star", size: 8.5 },
    confirmed: { colour: "--chart-measured", mark: "disc", size: 5 },
    passed: { colour: "--chart-measured", mark: "ring", size: 4 },
    outside: { colour: "--chart-faint", mark: "ring", size: 3.5 },
    front: { colour: "--chart-measured", mark: "disc", size: 4.5, width: 1.5 },
    trace: { colour: "--chart-measured", width: 1.5 },
    prediction: { colour: "--chart-predicted", dash: [6, 4], width: 1.5 },
    identity: { colour: "--chart-faint", dash: [2, 4], width: 1.5 },
    a: { colour: "--chart-measured", mark: "disc", size: 5.5 },
    b: { colour: "--chart-chosen", mark: "diamond", size: 6 },
    oom: failed("cross"),
    leak: failed("triangle"),
    spill: failed("diamond"),
    "non-finite": failed("triangle"),
    crash: failed("diamond"),
    "shape-limit": failed("square"),
    timeout: failed("square"),
    unsupported: failed("square"),
    limit: { colour: "--chart-ink", width: 1.5 },
    "load-line": { colour: "--chart-load", dash: [10, 4], width: 2 },
    window: { colour: "--chart-load", dash: [10, 4], width: 1.5, fill: "--chart-window" },
    mean: { colour: "--chart-chosen", dash: [6, 4], width: 1.5 },
    headroom: { fill: "--chart-headroom" },
    "warm-up": { fill: "--chart-stripe" },
    band: { fill: "--chart-band" },
  };
  const HEIGHTS = { normal: 300, low: 190 };
  const REACH = 28; // how near, in pixels, a pointer must come to a mark
  const NUMBER = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

  const drawn = new Map(); // figure -> Chart
  const together = new Map(); // name -> set of charts that share the position along x

  function look(role) {
    return LOOKS[role] ?? LOOKS.passed;
  }

  function number(value) {
    return value === null ? "–" : NUMBER.format(value);
  }

  // -- scales ------------------------------------------------------------------------------------

  function present(values) {
    return values.filter((value) => value !== null && value !== undefined);
  }

  function valuesOn(axis, data) {
    const found = [];
    for (const series of data.series) {
      found.push(...series[axis]);
      if (series.low && series.across === (axis === "x")) found.push(...series.low, ...series.high);
    }
    for (const band of data.bands) found.push(...(axis === "x" ? band.x : [...band.low, ...band.high]));
    for (const rule of data.rules) if (rule.axis === axis) found.push(rule.at);
    for (const zone of data.zones) if (zone.axis === axis) found.push(zone.low, zone.high);
    return present(found);
  }

  function range(axis, data, above) {
    const about = data[axis];
    const values = valuesOn(axis, data);
    if (about.scale === "log") {
      const positive = values.filter((value) => value > 0);
      return [Math.min(...positive) / 1.25, Math.max(...positive) * 1.25];
    }
    let low = Math.min(...values, about.low ?? Infinity);
    let high = Math.max(...values, about.high ?? -Infinity);
    if (!Number.isFinite(low)) return [0, 1];
    if (about.from_zero) low = Math.min(low, 0);
    const span = high - low || Math.abs(high) || 1;
    if (about.low === null && !about.from_zero) low -= 0.06 * span;
    if (about.high === null) high += above * span;
    return [low, high > low ? high : low + span];
  }

  // 1, 2 and 5 of every decade; of many decades only the ones.
  function decades(low, high) {
    const places = [];
    const steps = high / low > 2000 ? [1] : [1, 2, 5];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
      for (const step of steps) places.push(step * 10 ** power);
    }
    return places.filter((place) => place >= low && place <= high);
  }

  // -- marks -------------------------------------------------------------------------------------

  const OUTLINES = {
    disc: (p, r) => p.arc(0, 0, r, 0, 2 * Math.PI),
    ring: (p, r) => p.arc(0, 0, r, 0, 2 * Math.PI),
    square: (p, r) => p.rect(-r * 0.85, -r * 0.85, r * 1.7, r * 1.7),
    diamond: (p, r) => polygon(p, [[0, -r * 1.15], [r, 0], [0, r * 1.15], [-r, 0]]),
    triangle: (p, r) => polygon(p, [[0, -r * 1.1], [r, r * 0.8], [-r, r * 0.8]]),
    cross: (p, r) => {
      p.moveTo(-r, -r);
      p.lineTo(r, r);
      p.moveTo(-r, r);
      p.lineTo(r, -r);
    },
    star: (p, r) => {
      const corners = [];
      for (let i = 0; i < 10; i++) {
        const length = i % 2 ? r * 0.45 : r;
        const angle = (i * Math.PI) / 5 - Math.PI / 2;
        corners.push([length * Math.cos(angle), length * Math.sin(angle)]);
      }
      polygon(p, corners);
    },
  };

  function polygon(path, corners) {
    corners.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
    path.closePath();
  }

  // -- a chart -----------------------------------------------------------------------------------

  class Chart {
    constructor(figure, text) {
      this.figure = figure;
      this.text = text;
      this.data = JSON.parse(text);
      this.host = figure.querySelector(".chart-plot");
      this.host.replaceChildren();
      this.points = this.listPoints();
      this.at = -1;
      this.height = HEIGHTS[this.data.height];
      this.plot = new uPlot(this.options(), [this.xRange, [null, null]], this.host);
      this.tip = this.add("chart-tip");
      this.ring = this.add("chart-here");
      this.voice = this.add("hidden");
      this.voice.setAttribute("aria-live", "polite");
      this.listen();
      if (this.data.together) {
        if (!together.has(this.data.together)) together.set(this.data.together, new Set());
        together.get(this.data.together).add(this);
      }
    }

    add(name) {
      const made = document.createElement("div");
      made.className = name;
      this.host.append(made);
      return made;
    }

    remove() {
      this.ended.abort();
      this.observer.disconnect();
      this.plot.destroy();
      together.get(this.data.together)?.delete(this);
    }

    listPoints() {
      const points = [];
      for (const series of this.data.series) {
        if (series.role === "identity") continue;
        series.x.forEach((x, i) => {
          const y = series.y[i];
          if (x === null || y === null) return;
          const note = series.note?.[i] ?? "";
          points.push({ series, x, y, low: series.low?.[i] ?? null, high: series.high?.[i] ?? null, note });
        });
      }
      return points.sort((a, b) => a.x - b.x || a.y - b.y);
    }

    // Measured ones before what only draws a curve.
    get readable() {
      const measured = this.points.filter((point) => point.series.role !== "prediction");
      return measured.length ? measured : this.points;
    }

    colour(name) {
      return this.style.getPropertyValue(name).trim() || "#808080";
    }

    options() {
      this.style = getComputedStyle(this.figure);
      this.xRange = range("x", this.data, 0.04);
      const yRange = range("y", this.data, 0.1);
      const font = `12px ${this.style.fontFamily}`;
      const ink = () => this.colour("--chart-faint");
      const grid = { stroke: () => this.colour("--chart-grid"), width: 1 };
      const axis = { font, stroke: ink, grid, ticks: { show: false }, border: { show: false }, gap: 6 };
      const narrow = this.host.clientWidth < 480;
      return {
        width: this.host.clientWidth,
        height: this.height,
        padding: [24, 14, 0, 4],
        cursor: { show: false },
        legend: { show: false },
        scales: {
          x: { time: false, distr: this.data.x.scale === "log" ? 3 : 1, range: () => this.xRange },
          y: { distr: this.data.y.scale === "log" ? 3 : 1, range: () => yRange },
        },
        series: [{}, { show: false }],
        axes: [
          { ...axis, ...this.ticks("x"), label: title(this.data.x), labelFont: font, labelSize: 22, size: 30, space: narrow ? 60 : 80 },
          { ...axis, ...this.ticks("y"), size: (u, values) => this.widest(values), space: 36 },
        ],
        hooks: {
          drawClear: [() => this.paintBelow()],
          draw: [() => this.paint()],
        },
      };
    }

    ticks(name) {
      const { categories: names, scale } = this.data[name];
      if (scale === "log") {
        const wordsOf = (u, splits) => splits.map((v) => (v === null ? "" : NUMBER.format(v)));
        return { splits: (u, i, low, high) => decades(low, high), values: wordsOf, filter: (u, splits) => this.fitting(name, splits) };
      }
      if (!names.length) return { values: (u, splits) => splits.map((v) => (v === null ? "" : NUMBER.format(v))) };
      const places = names.map((_, i) => i + 1);
      return { splits: () => places, values: () => names, grid: { show: false } };
    }

    // Of the ticks on a logarithmic axis, those with room for a label: all, or the powers of ten.
    fitting(name, splits) {
      const room = this.plot ? this.plot.bbox.width / uPlot.pxRatio : Infinity;
      if (name === "y" || splits.length * 48 <= room) return splits;
      return splits.map((v) => (Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-9 ? v : null));
    }

    widest(values) {
      const context = (this.ruler ??= document.createElement("canvas").getContext("2d"));
      context.font = `12px ${this.style.fontFamily}`;
      return Math.ceil(Math.max(20, ...(values ?? []).map((v) => context.measureText(v ?? "").width))) + 12;
    }

    // -- painting --------------------------------------------------------------------------------

    x(value) {
      return this.plot.valToPos(value, "x", true);
    }

    y(value) {
      return this.plot.valToPos(value, "y", true);
    }

    within(work) {
      const { ctx, bbox } = this.plot;
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      work(ctx, uPlot.pxRatio);
      ctx.restore();
    }

    paintBelow() {
      this.within((ctx) => {
        for (const zone of this.data.zones) {
          ctx.fillStyle = this.colour(look(zone.role).fill);
          const { left, top, width, height } = this.plot.bbox;
          if (zone.axis === "y") ctx.fillRect(left, this.y(zone.high), width, this.y(zone.low) - this.y(zone.high));
          else ctx.fillRect(this.x(zone.low), top, this.x(zone.high) - this.x(zone.low), height);
        }
        for (const band of this.data.bands) {
          ctx.fillStyle = this.colour(look(band.role).fill);
          ctx.beginPath();
          band.x.forEach((x, i) => ctx.lineTo(this.x(x), this.y(band.high[i])));
          for (let i = band.x.length - 1; i >= 0; i--) ctx.lineTo(this.x(band.x[i]), this.y(band.low[i]));
          ctx.fill();
        }
      });
    }

    paint() {
      this.within((ctx, ratio) => {
        for (const rule of this.data.rules) this.paintRule(ctx, ratio, rule);
        for (const series of this.data.series) if (series.line) this.paintLine(ctx, ratio, series);
        for (const series of this.data.series) if (series.low) this.paintIntervals(ctx, ratio, series);
      });
      // Marks may reach over the edge: half a disc says less than a whole one.
      for (const series of this.data.series) this.paintMarks(this.plot.ctx, uPlot.pxRatio, series);
      this.paintWords(this.plot.ctx, uPlot.pxRatio);
    }

    stroke(ctx, ratio, { colour, dash = [], width = 1.5 }) {
      ctx.strokeStyle = this.colour(colour);
      ctx.lineWidth = width * ratio;
      ctx.lineJoin = "round";
      ctx.setLineDash(dash.map((length) => length * ratio));
      ctx.stroke();
      ctx.setLineDash([]);
    }

    paintRule(ctx, ratio, rule) {
      const { left, top, width, height } = this.plot.bbox;
      ctx.beginPath();
      if (rule.axis === "y") {
        ctx.moveTo(left, this.y(rule.at));
        ctx.lineTo(left + width, this.y(rule.at));
      } else {
        ctx.moveTo(this.x(rule.at), top);
        ctx.lineTo(this.x(rule.at), top + height);
      }
      this.stroke(ctx, ratio, look(rule.role));
    }

    paintLine(ctx, ratio, series) {
      ctx.beginPath();
      series.x.forEach((x, i) => {
        if (x !== null && series.y[i] !== null) ctx.lineTo(this.x(x), this.y(series.y[i]));
      });
      this.stroke(ctx, ratio, look(series.role));
    }

    paintIntervals(ctx, ratio, series) {
      const cap = 4 * ratio;
      const { bbox } = this.plot;
      ctx.beginPath();
      series.x.forEach((x, i) => {
        if (x === null || series.y[i] === null) return;
        const [low, high] = [series.low[i], series.high[i]];
        if (series.across) {
          const [from, to, y] = [this.x(low), this.x(high), this.y(series.y[i])];
          ctx.moveTo(from, y - cap);
          ctx.lineTo(from, y + cap);
          ctx.moveTo(from, y);
          ctx.lineTo(to, y);
          ctx.moveTo(to, y - cap);
          ctx.lineTo(to, y + cap);
        } else {
          const place = this.x(x);
          const bottom = low === null || (this.data.y.scale === "log" && low <= 0) ? bbox.top + bbox.height : this.y(low);
          const top = high === null ? bbox.top : this.y(high);
          ctx.moveTo(place, bottom);
          ctx.lineTo(place, top);
        }
      });
      this.stroke(ctx, ratio, { ...look(series.role), dash: [], width: series.across ? 2 : 1 });
    }

    paintMarks(ctx, ratio, series) {
      const { mark, size, colour } = look(series.role);
      if (!mark) return;
      const paint = this.colour(colour);
      const surface = this.colour("--chart-surface");
      series.x.forEach((x, i) => {
        if (x === null || series.y[i] === null) return;
        ctx.save();
        ctx.translate(this.x(x), this.y(series.y[i]));
        ctx.beginPath();
        OUTLINES[mark](ctx, size * ratio);
        ctx.lineWidth = 1.75 * ratio;
        if (mark === "cross") {
          ctx.lineCap = "round";
          ctx.lineWidth = 2.25 * ratio;
          ctx.strokeStyle = paint;
        } else if (mark === "ring") {
          ctx.fillStyle = surface;
          ctx.fill();
          ctx.strokeStyle = paint;
        } else {
          ctx.fillStyle = paint;
          ctx.lineWidth = 1.5 * ratio;
          ctx.strokeStyle = surface;
          ctx.stroke();
          ctx.fill();
          ctx.restore();
          return;
        }
        ctx.stroke();
        ctx.restore();
      });
    }

    // The name of the y axis above it, and those of the rules at their ends.
    paintWords(ctx, ratio) {
      const { left, top } = this.plot.bbox;
      ctx.font = `${12 * ratio}px ${this.style.fontFamily}`;
      ctx.textBaseline = "alphabetic";
      ctx.textAlign = "left";
      ctx.fillStyle = this.colour("--chart-faint");
      ctx.fillText(title(this.data.y), 4 * ratio, 13 * ratio);
      // On the left, where curves that rise have not yet arrived.
      const lines = this.data.rules.filter((rule) => rule.axis === "y" && rule.role !== "mean");
      lines.sort((a, b) => b.at - a.at).forEach((rule, i) => {
        const line = this.y(rule.at);
        const above = i === 0 && line - top > 4 * ratio;
        const place = above ? line - 6 * ratio : line + 15 * ratio;
        const words = `${rule.name} ${number(rule.at)} ${this.data.y.unit}`;
        ctx.lineWidth = 4 * ratio;
        ctx.lineJoin = "round";
        ctx.strokeStyle = this.colour("--chart-surface");
        ctx.strokeText(words, left + 8 * ratio, place);
        ctx.fillStyle = this.colour(look(rule.role).colour);
        ctx.fillText(words, left + 8 * ratio, place);
      });
    }

  // -- reading ---------------------------------------------------------------------------------

    listen() {
      this.ended = new AbortController();
      const until = { signal: this.ended.signal };
      const over = this.plot.over;
      const follow = (event) => {
        const box = over.getBoundingClientRect();
        this.show(this.nearest(event.clientX - box.left, event.clientY - box.top), true);
      };
      over.addEventListener("pointermove", follow, until);
      over.addEventListener("pointerdown", follow, until);
      over.addEventListener("pointerleave", () => this.show(-1, true), until);
      this.host.addEventListener("blur", () => this.show(-1, true), until);
      this.host.addEventListener("keydown", (event) => this.key(event), until);
      this.observer = new ResizeObserver(() => {
        const width = this.host.clientWidth;
        if (width && width !== this.plot.width) {
          this.show(-1, false);
          this.plot.setSize({ width, height: this.height });
        }
      });
      this.observer.observe(this.host);
    }

    key(event) {
      const last = this.readable.length - 1;
      const steps = { ArrowRight: this.at + 1, ArrowLeft: this.at < 0 ? last : this.at - 1, Home: 0, End: last };
      if (event.key === "Escape") this.show(-1, true);
      else if (event.key in steps) this.show(Math.min(Math.max(steps[event.key], 0), last), true);
      else return;
      event.preventDefault();
      this.voice.textContent = this.at < 0 ? "" : this.words(this.readable[this.at]).join(", ");
    }

    nearest(left, top) {
      let best = -1;
      let least = Infinity;
      this.readable.forEach((point, i) => {
        const dx = this.plot.valToPos(point.x, "x") - left;
        const dy = this.plot.valToPos(point.y, "y") - top;
        const along = point.series.role === "trace";
        const distance = along ? Math.abs(dx) : Math.hypot(dx, dy);
        if (distance < least && (along || distance < REACH)) [best, least] = [i, distance];
      });
      return best;
    }

    show(index, tellOthers) {
      this.at = index;
      const point = this.readable[index];
      this.tip.classList.toggle("shown", Boolean(point));
      this.ring.classList.toggle("shown", Boolean(point));
      if (tellOthers) this.tellOthers(point);
      if (!point) return;
      const [name, ...rest] = this.words(point);
      const strong = document.createElement("strong");
      strong.textContent = name;
      this.tip.replaceChildren(strong, ...rest.map((line) => {
        const made = document.createElement("span");
        made.textContent = line;
        return made;
      }));
      const over = this.plot.over;
      const left = over.offsetLeft + this.plot.valToPos(point.x, "x");
      const top = over.offsetTop + this.plot.valToPos(point.y, "y");
      this.ring.style.transform = `translate(${left}px, ${top}px)`;
      const width = this.tip.offsetWidth;
      const x = left + 14 + width > this.host.clientWidth ? Math.max(0, left - 14 - width) : left + 14;
      const y = Math.min(Math.max(0, top - this.tip.offsetHeight - 8), this.height);
      this.tip.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
    }

    tellOthers(point) {
      for (const other of together.get(this.data.together) ?? []) {
        if (other === this) continue;
        other.show(point ? other.readable.findIndex((each) => each.x >= point.x) : -1, false);
      }
    }

    words(point) {
      const on = (name, value) => {
        const { label, unit, categories } = this.data[name];
        if (categories.length) return "";
        return `${label} ${number(value)} ${unit}`.trim();
      };
      const words = [point.series.name, on("x", point.x), on("y", point.y)].filter(Boolean);
      if (point.low !== null && point.high !== null) words.push(`${number(point.low)} to ${number(point.high)}`);
      if (point.note) words.push(point.note);
      return words;
    }
  }

  function title({ label, unit }) {
    return unit ? `${label} [${unit}]` : label;
  }

  // -- when --------------------------------------------------------------------------------------

  function drawAll() {
    for (const [figure, chart] of drawn) {
      if (figure.isConnected) continue;
      chart.remove();
      drawn.delete(figure);
    }
    for (const figure of document.querySelectorAll("figure[data-chart]")) {
      const text = figure.querySelector('script[type="application/json"]').textContent;
      const known = drawn.get(figure);
      if (known?.text === text && known.host.contains(known.plot.root)) continue;
      known?.remove();
      drawn.set(figure, new Chart(figure, text));
    }
  }

  function redrawAll() {
    for (const chart of drawn.values()) chart.plot.redraw(false);
  }

  // Paper is white, whatever the screen shows.
  function onPaper(scheme) {
    document.documentElement.style.colorScheme = scheme;
    redrawAll();
  }

  document.addEventListener("tonnage:theme", redrawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
  addEventListener("beforeprint", () => onPaper("light"));
  addEventListener("afterprint", () => onPaper(""));
  document.addEventListener("htmx:after:swap", drawAll);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", drawAll);
  else drawAll();
}
