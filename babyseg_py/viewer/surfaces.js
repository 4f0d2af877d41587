// Surfaces drawn by the processor with a depth buffer, so that no graphics card or driver is needed.

// Vertices, faces and normals from the bytes of the server.
export const readMesh = (buffer, colour) => {
  const [points, triangles] = new Uint32Array(buffer, 0, 2);
  const vertices = new Float32Array(buffer, 8, 3 * points);
  const faces = new Uint32Array(buffer, 8 + 12 * points, 3 * triangles);
  const normals = new Float32Array(3 * points);
  for (let f = 0; f < faces.length; f += 3) {
    const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
    const u = [0, 1, 2].map(k => vertices[b + k] - vertices[a + k]);
    const v = [0, 1, 2].map(k => vertices[c + k] - vertices[a + k]);
    const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    for (const at of [a, b, c]) for (let k = 0; k < 3; k++) normals[at + k] += n[k];
  }
  for (let at = 0; at < normals.length; at += 3) {
    const length = Math.hypot(normals[at], normals[at + 1], normals[at + 2]) || 1;
    for (let k = 0; k < 3; k++) normals[at + k] /= length;
  }
  return {vertices, faces, normals, colour};
};

// Middle and radius of a ball around all meshes.
export const bounds = meshes => {
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  for (const {vertices} of meshes) {
    for (let n = 0; n < vertices.length; n++) {
      low[n % 3] = Math.min(low[n % 3], vertices[n]);
      high[n % 3] = Math.max(high[n % 3], vertices[n]);
    }
  }
  const middle = low.map((value, k) => (value + high[k]) / 2);
  return {middle, radius: Math.max(1e-6, Math.hypot(...low.map((value, k) => (high[k] - value) / 2)))};
};

// Right, up and towards the eye in the world; without turning seen from behind, the child's left on the left.
const turned = (azimuth, tilt) => {
  const [ca, sa, ct, st] = [Math.cos(azimuth), Math.sin(azimuth), Math.cos(tilt), Math.sin(tilt)];
  return [[ca, sa, 0], [-sa * st, ca * st, ct], [sa * ct, -ca * ct, st]];
};

export const drawSurfaces = (canvas, meshes, {azimuth, tilt, zoom}) => {
  const {width, height} = canvas;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer).fill(0xff000000);
  if (meshes.length) {
    const {middle, radius} = bounds(meshes);
    const scale = (zoom * 0.5 * Math.min(width, height)) / radius;
    const depth = new Float32Array(width * height).fill(-Infinity);
    for (const mesh of meshes) fill(mesh, {axes: turned(azimuth, tilt), middle, scale, width, height, pixels, depth});
  }
  context.putImageData(image, 0, 0);
};

const fill = ({vertices, faces, normals, colour}, {axes, middle, scale, width, height, pixels, depth}) => {
  const n = vertices.length / 3;
  const x = new Float32Array(n), y = new Float32Array(n), z = new Float32Array(n), light = new Float32Array(n);
  const [right, up, eye] = axes;
  for (let i = 0; i < n; i++) {
    const p = [vertices[3 * i] - middle[0], vertices[3 * i + 1] - middle[1], vertices[3 * i + 2] - middle[2]];
    x[i] = width / 2 + scale * (right[0] * p[0] + right[1] * p[1] + right[2] * p[2]);
    y[i] = height / 2 - scale * (up[0] * p[0] + up[1] * p[1] + up[2] * p[2]);
    z[i] = eye[0] * p[0] + eye[1] * p[1] + eye[2] * p[2];
    // Seen from either side, so that the order of the corners does not matter.
    light[i] = 0.2 + 0.8 * Math.abs(eye[0] * normals[3 * i] + eye[1] * normals[3 * i + 1] + eye[2] * normals[3 * i + 2]);
  }
  for (let f = 0; f < faces.length; f += 3) {
    const [a, b, c] = [faces[f], faces[f + 1], faces[f + 2]];
    const area = (x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a]);
    if (!area) continue;
    const left = Math.max(0, Math.floor(Math.min(x[a], x[b], x[c]))), end = Math.min(width - 1, Math.ceil(Math.max(x[a], x[b], x[c])));
    const top = Math.max(0, Math.floor(Math.min(y[a], y[b], y[c]))), bottom = Math.min(height - 1, Math.ceil(Math.max(y[a], y[b], y[c])));
    for (let row = top; row <= bottom; row++) {
      for (let column = left; column <= end; column++) {
        const wa = ((x[b] - column) * (y[c] - row) - (x[c] - column) * (y[b] - row)) / area;
        const wb = ((x[c] - column) * (y[a] - row) - (x[a] - column) * (y[c] - row)) / area;
        const wc = 1 - wa - wb;
        if (wa < -1e-6 || wb < -1e-6 || wc < -1e-6) continue;
        const at = row * width + column, near = wa * z[a] + wb * z[b] + wc * z[c];
        if (near <= depth[at]) continue;
        depth[at] = near;
        const shade = wa * light[a] + wb * light[b] + wc * light[c];
        pixels[at] = (0xff000000 | ((colour[2] * shade) << 16) | ((colour[1] * shade) << 8) | (colour[0] * shade)) >>> 0;
      }
    }
  }
};
