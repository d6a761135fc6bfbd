// Drawn people and a drawn screen, for pictures of a room in which nobody's face is published.
// `paintPerson(context, width, height, look, time)` and `paintScreen(context, width, height, time)` draw one frame;
// `time` is in seconds. `cameraOf(look)` is a MediaStream of that person.

const LOOKS = [
  {wall: '#cfe0ea', skin: '#e8b48f', hair: '#5b3a24', style: 'bun', shirt: '#2f6f8f', thing: 'shelf'},
  {wall: '#e9dcc8', skin: '#8d5a3b', hair: '#1d1512', style: 'short', shirt: '#d98a3d', thing: 'plant'},
  {wall: '#d7e4d2', skin: '#f1c9a8', hair: '#b6532c', style: 'long', shirt: '#5d7f4f', thing: 'window'},
  {wall: '#dcd6ea', skin: '#c98d63', hair: '#22191a', style: 'curly', shirt: '#7a4f9a', thing: 'picture'},
  {wall: '#f0d9d3', skin: '#f3cdb0', hair: '#c9c4bd', style: 'short', shirt: '#93404b', thing: 'shelf', glasses: true},
  {wall: '#cde3e0', skin: '#a66b45', hair: '#2b6777', style: 'scarf', shirt: '#2b6777', thing: 'plant'},
  {wall: '#e6e2d3', skin: '#e2a97f', hair: '#3b2a20', style: 'beard', shirt: '#48586b', thing: 'window'},
  {wall: '#d5dbe8', skin: '#70432b', hair: '#120d0b', style: 'bun', shirt: '#c8b04c', thing: 'picture', glasses: true},
  {wall: '#e4d3dc', skin: '#efbf9b', hair: '#e0b45c', style: 'long', shirt: '#38618f', thing: 'shelf'},
  {wall: '#d2e0d9', skin: '#d79f74', hair: '#17110f', style: 'short', shirt: '#3f7d6b', thing: 'picture', glasses: true},
  {wall: '#ebe0d0', skin: '#b97b52', hair: '#38241a', style: 'curly', shirt: '#b65d54', thing: 'window'},
  {wall: '#d9dfe3', skin: '#f0c3a2', hair: '#7d7a76', style: 'beard', shirt: '#5a6b3f', thing: 'plant', glasses: true},
];

window.paintPerson = (c, width, height, index, time) => {
  const look = LOOKS[index % LOOKS.length];
  const unit = height / 100;
  const oval = (x, y, rx, ry, colour, turn = 0) => {
    c.fillStyle = colour;
    c.beginPath();
    c.ellipse(x * unit, y * unit, rx * unit, ry * unit, turn, 0, 2 * Math.PI);
    c.fill();
  };
  const box = (x, y, w, h, colour, round = 0) => {
    c.fillStyle = colour;
    c.beginPath();
    c.roundRect(x * unit, y * unit, w * unit, h * unit, round * unit);
    c.fill();
  };
  const across = width / unit;
  const wall = c.createLinearGradient(0, 0, width, height);
  wall.addColorStop(0, look.wall);
  wall.addColorStop(1, shade(look.wall, -0.16));
  c.fillStyle = wall;
  c.fillRect(0, 0, width, height);
  THINGS[look.thing](box, oval, across, look);
  // One moves a little, and blinks.
  const x = across / 2 + 1.2 * Math.sin(time * 0.9 + index);
  const nod = 0.6 * Math.sin(time * 1.7 + 2 * index);
  const y = 44 + nod;
  const {skin, hair, style, shirt} = look;
  const dark = shade(skin, -0.18);
  if (style === 'long') box(x - 18, y - 14, 36, 50, hair, 16);
  if (style === 'curly') for (let k = 0; k < 9; k += 1) oval(x + 17 * Math.cos(Math.PI * (1 + k / 8)), y - 4 + 19 * Math.sin(Math.PI * (1 + k / 8)), 8, 8, hair);
  if (style === 'bun') oval(x, y - 25, 8, 7, hair);
  if (style === 'scarf') oval(x, y + 2, 20, 26, hair);
  // Shoulders, neck and collar.
  c.fillStyle = shirt;
  c.beginPath();
  c.moveTo((x - 40) * unit, 102 * unit);
  c.bezierCurveTo((x - 38) * unit, 76 * unit, (x - 20) * unit, 73 * unit, (x - 8) * unit, 71 * unit);
  c.lineTo((x + 8) * unit, 71 * unit);
  c.bezierCurveTo((x + 20) * unit, 73 * unit, (x + 38) * unit, 76 * unit, (x + 40) * unit, 102 * unit);
  c.fill();
  if (style === 'scarf') oval(x, 72, 17, 10, shade(hair, -0.12));
  else {
    box(x - 6.5, y + 12, 13, 20, dark, 5);
    oval(x, 73, 9, 4.5, skin);
    c.strokeStyle = shade(shirt, -0.2);
    c.lineWidth = 1.6 * unit;
    c.beginPath();
    c.arc(x * unit, 71 * unit, 10 * unit, 0.2, Math.PI - 0.2);
    c.stroke();
  }
  // The head.
  if (style !== 'scarf') for (const side of [-1, 1]) oval(x + side * 15.2, y + 1, 2.6, 4, dark);
  oval(x, y, 15, 19, skin);
  if (style === 'beard') {
    c.save();
    c.beginPath();
    c.rect(0, (y + 4) * unit, width, 40 * unit);
    c.clip();
    oval(x, y + 1, 15.2, 19.4, hair);
    c.restore();
    oval(x, y + 3, 10.5, 8, skin);
  }
  c.save();
  c.beginPath();
  c.rect(0, 0, width, (y - 6) * unit);
  c.clip();
  if (style !== 'scarf') oval(x, y - 2, 16.2, 19.5, hair);
  else oval(x, y - 1, 17, 20, hair);
  c.restore();
  if (style !== 'scarf') oval(x + 3, y - 5.2, 11.4, 6, skin, -0.16);
  else oval(x, y - 4.5, 12.5, 5, skin);
  const shut = (time + index * 1.37) % 4 < 0.14;
  for (const side of [-1, 1]) {
    oval(x + side * 6, y - 1, 1.5, shut ? 0.3 : 1.9, '#241c1a');
    if (!shut) oval(x + side * 6 + 0.5, y - 1.6, 0.5, 0.5, '#fff');
    box(x + side * 6 - 3, y - 6.2, 6, 1.1, shade(hair, style === 'scarf' ? -0.5 : -0.1), 0.5);
    oval(x + side * 9.4, y + 4.6, 2.6, 1.8, `${shade(skin, -0.08)}`);
  }
  c.strokeStyle = dark;
  c.lineWidth = 0.9 * unit;
  c.beginPath();
  c.moveTo((x - 0.4) * unit, (y + 0.5) * unit);
  c.quadraticCurveTo((x + 2) * unit, (y + 4.6) * unit, (x - 0.6) * unit, (y + 4.8) * unit);
  c.stroke();
  c.strokeStyle = '#7c352f';
  c.lineWidth = 1.2 * unit;
  c.lineCap = 'round';
  c.beginPath();
  c.arc(x * unit, (y + 6.4) * unit, (5 + 0.4 * Math.sin(time * 5 + index)) * unit, 0.35, Math.PI - 0.35);
  c.stroke();
  if (look.glasses) {
    c.strokeStyle = '#2c2f38';
    c.lineWidth = 0.9 * unit;
    for (const side of [-1, 1]) {
      c.beginPath();
      c.roundRect((x + side * 6 - 4.4) * unit, (y - 4.2) * unit, 8.8 * unit, 7 * unit, 3 * unit);
      c.stroke();
    }
    c.beginPath();
    c.moveTo((x - 1.6) * unit, (y - 1.6) * unit);
    c.lineTo((x + 1.6) * unit, (y - 1.6) * unit);
    c.stroke();
  }
};

const THINGS = {
  shelf(box, oval, across, look) {
    box(across * 0.06, 22, 30, 2.2, shade(look.wall, -0.35));
    const colours = ['#8c4a4a', '#c7a44e', '#4f6f8c', '#5e7d5a', '#8a6f9c'];
    for (let k = 0; k < 7; k += 1) box(across * 0.07 + k * 3.7, 9 + (k * 5) % 4, 3.1, 13 - ((k * 5) % 4), colours[k % 5], 0.4);
  },
  plant(box, oval, across) {
    for (const [dx, dy, turn] of [[-5, -13, -0.5], [0, -17, 0], [5, -13, 0.5], [-8, -6, -0.9], [8, -6, 0.9]])
      oval(across * 0.86 + dx, 68 + dy, 3.4, 10, '#5f8a5c', turn);
    box(across * 0.86 - 6, 70, 12, 16, '#b9805c', 2);
  },
  window(box, oval, across) {
    box(across * 0.68, 8, 34, 36, '#f7f4ec', 1);
    box(across * 0.68 + 2, 10, 14, 32, '#a9cbe2');
    box(across * 0.68 + 18, 10, 14, 32, '#b6d4e6');
    oval(across * 0.68 + 9, 36, 6, 5, '#8fb489');
  },
  picture(box, oval, across, look) {
    box(across * 0.08, 12, 26, 20, shade(look.wall, -0.4), 1);
    box(across * 0.08 + 2, 14, 22, 16, '#f2e7d5');
    oval(across * 0.08 + 9, 25, 6, 4, '#d78f5b');
    oval(across * 0.08 + 16, 20, 3, 3, '#e5bf63');
  },
};

window.paintScreen = (c, width, height, time) => {
  const unit = height / 100;
  const text = (words, x, y, size, colour, weight = 400) => {
    c.fillStyle = colour;
    c.font = `${weight} ${size * unit}px system-ui, sans-serif`;
    c.fillText(words, x * unit, y * unit);
  };
  c.fillStyle = '#fbfaf7';
  c.fillRect(0, 0, width, height);
  c.fillStyle = '#17324d';
  c.fillRect(0, 0, 2.4 * unit, height);
  text('Coast path, summer 2026', 12, 17, 8, '#17324d', 700);
  text('Visitors a week, in thousands', 12, 26, 4.2, '#5b6b7a');
  const values = [12, 15, 19, 26, 31, 38, 47, 52, 49, 41, 33, 24];
  const months = ['May', '', '', 'June', '', '', 'July', '', '', 'August', '', ''];
  values.forEach((value, k) => {
    const grown = Math.min(1, Math.max(0.02, time * 1.5 - k * 0.12));
    const x = 12 + k * 12.6;
    c.fillStyle = value === 52 ? '#d2691e' : '#4a7ba6';
    c.beginPath();
    c.roundRect(x * unit, (84 - value * grown) * unit, 9 * unit, value * grown * unit, 1.2 * unit);
    c.fill();
    if (months[k]) text(months[k], x, 91, 4, '#5b6b7a');
  });
  c.fillStyle = '#c9d2da';
  c.fillRect(12 * unit, 84.4 * unit, 150 * unit, 0.4 * unit);
  text('52', 12 + 7 * 12.6 + 1.4, 29.5, 5, '#d2691e', 700);
};

/** A stream of somebody's camera. */
window.cameraOf = (look, {width = 640, height = 480, rate = 12} = {}) =>
  painted(width, height, rate, (context, time) => window.paintPerson(context, width, height, look, time));

window.screenOf = ({width = 1280, height = 720, rate = 5} = {}) =>
  painted(width, height, rate, (context, time) => window.paintScreen(context, width, height, time));

function painted(width, height, rate, paint) {
  const canvas = Object.assign(document.createElement('canvas'), {width, height});
  const context = canvas.getContext('2d');
  const begun = performance.now();
  const frame = () => paint(context, (performance.now() - begun) / 1000);
  frame();
  setInterval(frame, 1000 / rate);
  return canvas.captureStream(rate);
}

function shade(colour, by) {
  const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return `#${parts.map((part) => Math.round(Math.min(255, Math.max(0, part * (1 + by)))).toString(16).padStart(2, '0')).join('')}`;
}

