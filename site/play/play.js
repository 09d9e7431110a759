// From an image to masks on the screen. Pixels lie row by row, as in Python.
"use strict";

const at = id => document.getElementById(id);
const tell = sentence => { at("told").textContent = sentence; };
const [HEIGHT, WIDTH] = COURSE.size;
const CLASSES = COURSE.classes.length;

let image = null;                     // { number, pixels }: bytes, HEIGHT x WIDTH x 3
let point = { row: 80, column: 96 };  // where the classes are told

// 1. The input

/** Read a file or <img>: its centre in the networks' proportions, resized to their size. */
async function readImage(source) {
  const bitmap = await createImageBitmap(source);
  const scale = Math.min(bitmap.width / WIDTH, bitmap.height / HEIGHT);
  const [width, height] = [WIDTH * scale, HEIGHT * scale];
  const canvas = element("canvas", { width: WIDTH, height: HEIGHT }).getContext("2d");
  canvas.imageSmoothingQuality = "high";
  canvas.fillStyle = "white";         // behind transparent pixels
  canvas.fillRect(0, 0, WIDTH, HEIGHT);
  canvas.drawImage(bitmap, (bitmap.width - width) / 2, (bitmap.height - height) / 2, width, height,
    0, 0, WIDTH, HEIGHT);
  bitmap.close();
  return canvas.getImageData(0, 0, WIDTH, HEIGHT).data.filter((_, i) => i % 4 < 3);
}

/** Show the masks of an image; one that cannot be read leaves the one before it. */
async function choose(source, name) {
  tell(`Reading ${name} …`);
  try {
    image = { pixels: await readImage(source), number: (image?.number ?? 0) + 1 };
  } catch {
    return tell(`${name} cannot be read: it is not an image that this browser knows, or too ` +
      "large for its memory. Choose a smaller one, as PNG, JPEG or WebP.");
  }
  for (const street of at("streets").children) street.ariaPressed = street.title === name;
  tell(`The masks of ${name}. Changed: pixels of another class than with all sliders at rest.`);
  await update();
}

/** Noise of every value, drawn once (Box and Muller 1958): the slider only scales it. */
const NOISE = new Float32Array(HEIGHT * WIDTH * 3).map(() =>
  Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()));

/** Change pixels as the sliders say; rounded and clipped to 0 .. 255, as in an image file. */
function altered(pixels, { noise, brightness, shift, pixel }) {
  const moved = new Float32Array(pixels).map((_, i) => {
    const column = Math.floor(i / 3) % WIDTH;
    return brightness * pixels[i - 3 * Math.min(shift, column)];  // repeats the left margin
  });
  const coarser = pixel === 1 ? moved : coarse(moved, pixel);
  return new Uint8ClampedArray(coarser.map((value, i) => value + noise * NOISE[i]));
}

/** Give all pixels of each block of side x side their mean. */
function coarse(pixels, side) {
  const blocks = new Int32Array(pixels.length).map((_, i) => {
    const row = Math.floor(i / 3 / WIDTH);
    const column = Math.floor(i / 3) % WIDTH;
    return 3 * (Math.floor(row / side) * WIDTH + Math.floor(column / side)) + i % 3;
  });
  const sums = new Float32Array(pixels.length);
  const counts = new Float32Array(pixels.length);
  pixels.forEach((value, i) => { sums[blocks[i]] += value; counts[blocks[i]] += 1; });
  return pixels.map((_, i) => sums[blocks[i]] / counts[blocks[i]]);
}

// 2. The networks

/** Run a network on pixels: { logits, mask, milliseconds }. */
async function run(network, pixels, gates) {
  const start = performance.now();
  const shape = [1, HEIGHT, WIDTH, 3];
  const feeds = { image: new ort.Tensor("float32", new Float32Array(pixels), shape) };
  if (network.name === "unet") feeds.gates = new ort.Tensor("float32", gates, [1, 1, 1, 4]);
  const [{ data: logits }] = Object.values(await network.session.run(feeds));
  const mask = new Uint8Array(HEIGHT * WIDTH).map((_, i) => {
    let best = 0;
    for (let k = 1; k < CLASSES; k++) {
      if (logits[i * CLASSES + k] > logits[i * CLASSES + best]) best = k;
    }
    return best;
  });
  return { logits, mask, milliseconds: performance.now() - start };
}

/** Run a network again if the image or its sliders have changed since its last answer. */
async function refresh(network, pixels, { gates, opacity, ...input }) {
  if (network.rest?.number !== image.number) {
    network.rest = { number: image.number, ...await run(network, image.pixels, [1, 1, 1, 1]) };
  }
  const key = JSON.stringify([image.number, input, network.name === "unet" && gates]);
  if (network.answer?.key !== key) {
    network.answer = { key, shift: input.shift, ...await run(network, pixels, gates) };
  }
}

let running = false;
let stale = false;  // something changed while the networks ran

/** Bring all masks up to date; of the changes meanwhile, only the latest counts. */
async function update() {
  stale = true;
  if (running) return;
  running = true;
  try {
    while (stale) {
      stale = false;
      const settings = readSliders();
      const pixels = altered(image.pixels, settings);
      for (const network of COURSE.networks) {
        await refresh(network, pixels, settings);
        paint(network, pixels, settings.opacity);
        await new Promise(done => setTimeout(done));  // the browser paints, and hears of changes
        if (stale) break;
      }
    }
  } catch (error) {
    tell(`The networks stopped: ${error.message}. Reload the page.`);
  }
  running = false;
}

// 3. The screen

function readSliders() {
  const settings = { gates: [] };
  for (const slider of document.querySelectorAll("[type=range]")) {
    slider.nextSibling.textContent = slider.value;
    if (slider.id.startsWith("gate")) settings.gates.push(slider.valueAsNumber);
    else settings[slider.id] = slider.valueAsNumber;
  }
  return settings;
}

function paint(network, pixels, opacity) {
  const { logits, mask, shift, milliseconds } = network.answer;
  const painted = new ImageData(WIDTH, HEIGHT);
  const { data } = painted;
  for (let i = 0; i < mask.length; i++) {
    const colour = COURSE.colours[mask[i]];
    for (let c = 0; c < 3; c++) {
      data[4 * i + c] = (1 - opacity) * pixels[3 * i + c] + opacity * colour[c];
    }
    data[4 * i + 3] = 255;
  }
  const canvas = network.canvas.getContext("2d");
  canvas.putImageData(painted, 0, 0);
  canvas.strokeStyle = "white";
  canvas.strokeRect(point.column - 2.5, point.row - 2.5, 6, 6);
  canvas.strokeStyle = "black";
  canvas.strokeRect(point.column - 1.5, point.row - 1.5, 4, 4);
  const changed = 100 * shareOfChanged(mask, network.rest.mask, shift);
  network.told.textContent = `${changed.toFixed(1)} % changed, ${Math.round(milliseconds)} ms`;
  network.here.textContent = classesAtPoint(logits);
  if (network.name === "unet") writeLegend(mask, network.rest.mask);
}

/** Compare a mask with that of the untouched image, moved along with the shift. */
function shareOfChanged(mask, rest, shift) {
  const compared = [...mask.keys()].filter(i => i % WIDTH >= shift);
  return compared.filter(i => mask[i] !== rest[i - shift]).length / compared.length;
}

/** Name the two likeliest classes at the point, with their probabilities (softmax). */
function classesAtPoint(logits) {
  const start = (point.row * WIDTH + point.column) * CLASSES;
  const powers = Array.from(logits.subarray(start, start + CLASSES), Math.exp);
  const sum = powers.reduce((total, power) => total + power);
  const likely = [...powers.keys()].sort((a, b) => powers[b] - powers[a]).slice(0, 2);
  return likely.map(k => `${COURSE.classes[k]} ${Math.round(100 * powers[k] / sum)} %`).join(", ");
}

/** Compute the share of each class in a mask, in percent, as texts. */
function shares(mask) {
  const counts = COURSE.classes.map(() => 0);
  for (const k of mask) counts[k] += 1;
  return counts.map(count => (100 * count / mask.length).toFixed(1));
}

function writeLegend(mask, rest) {
  const [before, now] = [shares(rest), shares(mask)];
  COURSE.classes.forEach((name, k) => {
    at("legend").children[k].lastChild.textContent =
      `${name} ${before[k] === now[k] ? "" : `${before[k]} → `}${now[k]} %`;
  });
}

/** Make an element with properties and children. */
function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function layOut() {
  for (const network of COURSE.networks) {
    const canvas = element("canvas", { width: WIDTH, height: HEIGHT, tabIndex: 0, role: "img" });
    network.canvas = canvas;
    canvas.ariaLabel = `mask of ${network.title}; arrow keys move the point`;
    network.told = element("span");
    network.here = element("span", { ariaLive: network.name === "unet" ? "polite" : "off" });
    const caption = element("figcaption", {}, element("b", {}, network.title), " ", network.told,
      element("br"), network.here);
    at(network.name === "unet" ? "first" : "others").append(element("figure", {}, canvas, caption));
    canvas.onpointermove = canvas.onpointerdown = event => movePoint(
      Math.floor(event.offsetY / canvas.clientHeight * HEIGHT),
      Math.floor(event.offsetX / canvas.clientWidth * WIDTH));
    canvas.onkeydown = event => {
      const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      if (!(event.key in steps)) return;
      event.preventDefault();  // the page would scroll
      movePoint(point.row + steps[event.key][0], point.column + steps[event.key][1]);
    };
  }
  COURSE.classes.forEach((name, k) => {
    const colour = element("i");
    colour.style.background = `rgb(${COURSE.colours[k]})`;
    at("legend").append(element("li", {}, colour, name));
  });
  COURSE.streets.forEach((src, k) => {
    const title = `street ${k + 1}`;
    const shown = element("img", { src, alt: title });
    const street = element("button", { type: "button", title }, shown);
    street.onclick = () => choose(shown, title);
    at("streets").append(street);
  });
  for (const slider of document.querySelectorAll("[type=range]")) slider.after(element("output"));
  at("file").onchange = () => {
    const [file] = at("file").files;
    if (file) choose(file, file.name);
  };
  at("sliders").oninput = event => event.target.type === "range" && update();
  at("sliders").onreset = () => setTimeout(update);  // after the sliders have gone back
}

function movePoint(row, column) {
  const within = (value, size) => Math.max(0, Math.min(size - 1, value));
  point = { row: within(row, HEIGHT), column: within(column, WIDTH) };
  update();
}

async function start() {
  if (location.protocol === "file:") {
    return tell("Browsers load networks only from a server: run python -m http.server in this " +
      "folder and open http://localhost:8000.");
  }
  if (typeof WebAssembly !== "object") {
    return tell("This browser has no WebAssembly, which runs the networks. Open the page in a " +
      "current Firefox, Chrome, Edge or Safari.");
  }
  ort.env.wasm.numThreads = 1;  // more need headers that a simple server does not send
  for (const network of COURSE.networks) {
    network.session = await ort.InferenceSession.create(`${network.name}.onnx`);
  }
  layOut();
  document.querySelector("main").hidden = false;
  await at("streets").querySelector("img").decode();
  at("streets").firstChild.click();
}

start().catch(error => tell(`The networks could not be started: ${error.message}`));
