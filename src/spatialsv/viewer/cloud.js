"use strict";
// Coloured points and camera frusta from depth maps and cameras, as the stage `analysis` writes them.
// Here y is up and cameras face -z, as in WebGL: OpenCV's y and z change sign.
const MAX_CODE = 65535;
const UNKNOWN = 255;
const UNKNOWN_COLOUR = [110, 114, 122];
const VIEW_COLOURS = [[240, 166, 60], [95, 176, 240], [238, 127, 188], [85, 198, 205]];

function decode(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// A camera point (x, y, z) of view `view` in the viewer's world.
function toWorld(cloud, view, x, y, z) {
  const [a, b, c, tx, d, e, f, ty, g, h, i, tz] = cloud.poses.slice(12 * view, 12 * view + 12);
  return [a * x + b * y + c * z + tx, -(d * x + e * y + f * z + ty), -(g * x + h * y + i * z + tz)];
}

// Positions of all pixels with depth, and the pixel index of each point.
function cloudPoints(cloud) {
  const [views, height, width] = cloud.size;
  const codes = new Uint16Array(decode(cloud.depth).buffer);
  const positions = [];
  const pixels = [];
  for (let at = 0; at < views * height * width; at++) {
    if (!codes[at]) continue;
    const view = Math.floor(at / (height * width));
    const [fx, skew, cx, fy, cy] = cloud.K.slice(5 * view, 5 * view + 5);
    const z = (codes[at] / MAX_CODE) * cloud.top;
    const y = (Math.floor(at / width) % height + 0.5 - cy) / fy;
    const x = ((at % width) + 0.5 - cx - skew * y) / fx;
    positions.push(...toWorld(cloud, view, x * z, y * z, z));
    pixels.push(at);
  }
  return { positions: new Float32Array(positions), pixels: new Uint32Array(pixels) };
}

// The pixels [left, top, width, height] of a view's map that show its image; the others are padding.
function imageWindow(cloud, view) {
  return cloud.windows?.[view] ?? [0, 0, cloud.size[2], cloud.size[1]];
}

// The images at the cloud's size: red, green and blue of every pixel.
async function imageColours(uris, cloud) {
  const [views, height, width] = cloud.size;
  const colours = new Uint8Array(3 * views * height * width);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  for (let view = 0; view < views; view++) {
    const image = new Image();
    image.src = uris[view];
    await image.decode();
    context.drawImage(image, ...imageWindow(cloud, view));
    const { data: pixels } = context.getImageData(0, 0, width, height);
    const start = view * height * width;
    for (let at = 0; at < height * width; at++) {
      colours.set(pixels.subarray(4 * at, 4 * at + 3), 3 * (start + at));
    }
  }
  return colours;
}

function hexColour(text) {
  return [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16));
}

// Codes in [0, UNKNOWN) along a scale of colours; unknown ones are grey.
function scaleColours(codes, stops) {
  const scale = stops.map(hexColour);
  const colours = new Uint8Array(3 * codes.length);
  codes.forEach((code, at) => {
    const position = (code / (UNKNOWN - 1)) * (scale.length - 1);
    const below = Math.min(Math.floor(position), scale.length - 2);
    const mixture = [0, 1, 2].map((channel) =>
      scale[below][channel] + (position - below) * (scale[below + 1][channel] - scale[below][channel]));
    colours.set(code === UNKNOWN ? UNKNOWN_COLOUR : mixture, 3 * at);
  });
  return colours;
}

function selectColours(colours, pixels) {
  const selected = new Uint8Array(3 * pixels.length);
  pixels.forEach((pixel, at) => selected.set(colours.subarray(3 * pixel, 3 * pixel + 3), 3 * at));
  return selected;
}

// Pyramids from each camera to its image plane at depth `reach`, as pairs of line ends.
function frusta(cloud, reach) {
  const [views] = cloud.size;
  const ends = [];
  const colours = [];
  for (let view = 0; view < views; view++) {
    const [fx, skew, cx, fy, cy] = cloud.K.slice(5 * view, 5 * view + 5);
    const corner = (column, row) => {
      const y = (row - cy) / fy;
      return toWorld(cloud, view, reach * ((column - cx - skew * y) / fx), reach * y, reach);
    };
    const tip = toWorld(cloud, view, 0, 0, 0);
    const [left, top, width, height] = imageWindow(cloud, view);
    const [right, bottom] = [left + width, top + height];
    const corners = [corner(left, top), corner(right, top), corner(right, bottom), corner(left, bottom)];
    corners.forEach((point, at) => ends.push(tip, point, point, corners[(at + 1) % 4]));
    for (let end = 0; end < 16; end++) colours.push(VIEW_COLOURS[view % VIEW_COLOURS.length]);
  }
  return { ends: new Float32Array(ends.flat()), colours: new Uint8Array(colours.flat()) };
}

// The median relative error; null where it is unknown.
function medianError(cloud) {
  const codes = decode(cloud.error).filter((code) => code !== UNKNOWN).sort();
  if (!codes.length) return null;
  return (codes[Math.floor(codes.length / 2)] / (UNKNOWN - 1)) * clouds.max_error;
}
