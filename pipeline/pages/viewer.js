"use strict";
// Draws the slices of the page's volumes with their masks. No request, nothing kept.
const LABELS = [[0, 190, 130], [240, 228, 66], [204, 121, 167], [86, 200, 233], [240, 90, 80], [170, 130, 250]];
const MISSED = [64, 120, 255], INVENTED = [255, 120, 0], OTHER = [224, 79, 208];
const IGNORED = 255, FILLED = 0.4;

const colourOf = (label) => LABELS[(label - 1) % LABELS.length];
const numbers = (text) => text.split(" ").map(Number);
const blend = (under, over, part) => under.map((value, i) => value + part * (over[i] - value));

// The channels of a picture whose tiles are slices, as arrays over slices, rows, columns.
function unpack(image, [columns, rows, slices], channels) {
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const { data, width } = context.getImageData(0, 0, canvas.width, canvas.height);
  const across = width / columns;
  const values = channels.map(() => new Uint8Array(columns * rows * slices));
  for (let z = 0, to = 0; z < slices; z++)
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < columns; x++, to++) {
        const from = 4 * ((Math.floor(z / across) * rows + y) * width + (z % across) * columns + x);
        channels.forEach((channel, i) => { values[i][to] = data[from + channel]; });
      }
  return values;
}

// Of each plane: how many slices, their sides in voxels and mm, and where their pixels lie.
function planesOf([columns, rows, slices], [dx, dy, dz]) {
  const slice = columns * rows, top = (slices - 1) * slice; // the head is above
  return [
    { axis: 2, count: slices, width: columns, height: rows, aspect: [columns * dx, rows * dy], at: (i) => [i * slice, 1, columns] },
    { axis: 1, count: rows, width: columns, height: slices, aspect: [columns * dx, slices * dz], at: (i) => [i * columns + top, 1, -slice] },
    { axis: 0, count: columns, width: rows, height: slices, aspect: [rows * dy, slices * dz], at: (i) => [i + top, columns, -slice] },
  ];
}

function draw(canvas, plane, index, { grey, truth, prediction }, on, hasTruth) {
  const [start, right, down] = plane.at(index);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const picture = context.createImageData(plane.width, plane.height);
  for (let v = 0, to = 0; v < plane.height; v++)
    for (let u = 0; u < plane.width; u++, to += 4) {
      const at = start + u * right + v * down, t = truth[at], p = prediction[at];
      let colour = [grey[at], grey[at], grey[at]];
      if (on.truth && t && t !== IGNORED) colour = blend(colour, colourOf(t), FILLED);
      if (on.prediction && p) {
        const inner = u && v && u < plane.width - 1 && v < plane.height - 1
          && [right, -right, down, -down].every((step) => prediction[at + step] === p);
        if (!inner) colour = colourOf(p);
        else if (!hasTruth) colour = blend(colour, colourOf(p), FILLED);
      }
      if (on.errors && t !== IGNORED && t !== p) colour = !p ? MISSED : !t ? INVENTED : OTHER;
      picture.data.set([...colour, 255], to);
    }
  context.putImageData(picture, 0, 0);
}

function show(box) {
  const images = box.querySelectorAll(".sprite");
  const size = numbers(box.dataset.size), start = numbers(box.dataset.start);
  const hasTruth = box.dataset.truth === "1";
  const [grey] = unpack(images[0], size, [0]);
  const [truth, prediction] = unpack(images[1], size, [0, 1]);
  const layers = [...box.querySelectorAll("[data-layer]")];
  const all = planesOf(size, numbers(box.dataset.spacing));
  const redraw = [...box.querySelectorAll(".plane")].map((part, i) => {
    const plane = all[i], canvas = part.querySelector("canvas");
    const slider = part.querySelector("input"), output = part.querySelector("output");
    canvas.width = plane.width;
    canvas.height = plane.height;
    canvas.style.aspectRatio = plane.aspect.join(" / ");
    slider.max = plane.count - 1;
    slider.value = start[plane.axis];
    const paint = () => {
      const on = Object.fromEntries(layers.map((box) => [box.dataset.layer, box.checked]));
      output.textContent = `slice ${Number(slider.value) + 1} of ${plane.count}`;
      draw(canvas, plane, Number(slider.value), { grey, truth, prediction }, on, hasTruth);
    };
    // At its ends the page scrolls on.
    const scroll = (event, step) => {
      const before = slider.value;
      slider.value = Number(before) + step;
      if (slider.value === before) return;
      event.preventDefault();
      paint();
    };
    slider.addEventListener("input", paint);
    canvas.addEventListener("wheel", (event) => scroll(event, -Math.sign(event.deltaY)), { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
      if (step) scroll(event, step);
    });
    paint();
    return paint;
  });
  layers.forEach((layer) => layer.addEventListener("change", () => redraw.forEach((paint) => paint())));
  for (const key of box.querySelectorAll("[data-label]")) key.style.background = `rgb(${colourOf(key.dataset.label)})`;
}

addEventListener("load", () => document.querySelectorAll(".volume").forEach(show));
