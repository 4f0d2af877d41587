// Slices through volumes whose axes are right, anterior, superior, drawn on plain canvases.

// The axis that each view cuts, the axes to the right and up on the screen, and the letters at its edges.
export const VIEWS = {
  axial: {cut: 2, across: 0, up: 1, letters: ["L", "R", "A", "P"]},
  coronal: {cut: 1, across: 0, up: 2, letters: ["L", "R", "S", "I"]},
  sagittal: {cut: 0, across: 1, up: 2, letters: ["P", "A", "S", "I"]},
};
const UNKNOWN = [255, 255, 0];

// Where the slice lies on its canvas: pixels a voxel, and the corner of voxel (0, 0); the first row is the top.
export const placement = (view, canvas, shape, cross, zoom) => {
  const {across, up} = VIEWS[view];
  const scale = zoom * Math.min(canvas.width / shape[across], canvas.height / shape[up]);
  const corner = (size, length, centre) => {
    const whole = length * scale;
    if (whole <= size) return (size - whole) / 2;
    return Math.min(0, Math.max(size - whole, size / 2 - (centre + 0.5) * scale));
  };
  return {
    scale,
    left: corner(canvas.width, shape[across], cross[across]),
    top: corner(canvas.height, shape[up], shape[up] - 1 - cross[up]),
  };
};

// The voxel under a point of the canvas, within the volume.
export const voxelAt = (view, place, shape, cross, x, y) => {
  const {across, up} = VIEWS[view];
  const within = (value, n) => Math.min(n - 1, Math.max(0, Math.floor(value)));
  const voxel = [...cross];
  voxel[across] = within((x - place.left) / place.scale, shape[across]);
  voxel[up] = shape[up] - 1 - within((y - place.top) / place.scale, shape[up]);
  return voxel;
};

// Values of a slice by rows from the top.
const cut = (data, view, shape, cross) => {
  const {cut: axis, across, up} = VIEWS[view];
  const stride = [1, shape[0], shape[0] * shape[1]];
  const width = shape[across], height = shape[up];
  const values = new Uint16Array(width * height);
  for (let row = 0; row < height; row++) {
    let from = cross[axis] * stride[axis] + (height - 1 - row) * stride[up];
    for (let column = 0; column < width; column++, from += stride[across]) values[row * width + column] = data[from];
  }
  return {values, width, height};
};

const picture = (slice, paint) => {
  const canvas = new OffscreenCanvas(slice.width, slice.height);
  const image = new ImageData(slice.width, slice.height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let n = 0; n < pixels.length; n++) pixels[n] = paint(slice.values[n]);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
};

const rgba = (r, g, b, a) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;

// Edges of the voxels of each label, as one path for each label.
const outlines = ({values, width, height}, place) => {
  const paths = new Map();
  const at = (column, row) => (column < 0 || row < 0 || column >= width || row >= height ? 0 : values[row * width + column]);
  const x = column => place.left + column * place.scale, y = row => place.top + row * place.scale;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const label = values[row * width + column];
      if (!label) continue;
      const edges = [[-1, 0, 0, 0, 0, 1], [1, 0, 1, 0, 1, 1], [0, -1, 0, 0, 1, 0], [0, 1, 0, 1, 1, 1]];
      for (const [dx, dy, x0, y0, x1, y1] of edges) {
        if (at(column + dx, row + dy) === label) continue;
        if (!paths.has(label)) paths.set(label, new Path2D());
        paths.get(label).moveTo(x(column + x0), y(row + y0));
        paths.get(label).lineTo(x(column + x1), y(row + y1));
      }
    }
  }
  return paths;
};

// Draw one view; layers are {data, low, high} or null, colours a map of label to [r, g, b].
export const drawSlice = (canvas, view, scene) => {
  const {shape, cross, image, labels, uncertainty, window: [black, white], style, opacity, zoom, colours} = scene;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  const place = placement(view, canvas, shape, cross, zoom);
  const put = (source, smooth) => {
    context.imageSmoothingEnabled = smooth;
    context.imageSmoothingQuality = "high";
    context.drawImage(source, place.left, place.top, source.width * place.scale, source.height * place.scale);
  };
  const colour = label => colours.get(label) ?? UNKNOWN;
  if (image) {
    const step = (image.high - image.low) / 65535, range = Math.max(white - black, 1e-9);
    put(picture(cut(image.data, view, shape, cross), value => {
      const grey = Math.max(0, Math.min(255, Math.round((255 * (image.low + value * step - black)) / range)));
      return rgba(grey, grey, grey, 255);
    }), true);
  }
  if (uncertainty) {
    put(picture(cut(uncertainty.data, view, shape, cross), value => {
      const share = Math.min(1, (2 * value) / 65535);
      return rgba(255, Math.round(255 * share * share), 40, Math.round(255 * opacity * share));
    }), true);
  }
  if (labels && style !== "none") {
    const slice = cut(labels.data, view, shape, cross);
    if (style === "filled") {
      put(picture(slice, label => (label ? rgba(...colour(label), Math.round(255 * opacity)) : 0)), false);
    } else {
      context.lineWidth = Math.max(1, Math.min(2.5, place.scale / 3));
      context.globalAlpha = Math.min(1, 0.25 + 1.25 * opacity);
      for (const [label, path] of outlines(slice, place)) {
        context.strokeStyle = `rgb(${colour(label).join(" ")})`;
        context.stroke(path);
      }
      context.globalAlpha = 1;
    }
  }
  drawCross(context, canvas, view, place, shape, cross);
  return place;
};

const drawCross = (context, canvas, view, place, shape, cross) => {
  const {across, up, letters} = VIEWS[view];
  const x = place.left + (cross[across] + 0.5) * place.scale;
  const y = place.top + (shape[up] - 0.5 - cross[up]) * place.scale;
  const gap = 10;
  context.strokeStyle = "rgb(255 255 255 / 55%)";
  context.lineWidth = 1;
  context.beginPath();
  for (const [x0, y0, x1, y1] of [[0, y, x - gap, y], [x + gap, y, canvas.width, y], [x, 0, x, y - gap], [x, y + gap, x, canvas.height]]) {
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
  }
  context.stroke();
  const size = Math.round(13 * (canvas.width / Math.max(1, canvas.clientWidth)));
  context.font = `${size}px sans-serif`;
  context.fillStyle = "#fff";
  context.textBaseline = "middle";
  context.textAlign = "left";
  context.fillText(letters[0], 6, canvas.height / 2);
  context.textAlign = "right";
  context.fillText(letters[1], canvas.width - 6, canvas.height / 2);
  context.textAlign = "center";
  context.fillText(letters[2], canvas.width / 2, size);
  context.fillText(letters[3], canvas.width / 2, canvas.height - size);
};
