// Small plots, drawn by hand. Colours are the style sheet's.

const SVG = 'http://www.w3.org/2000/svg';

// Points of [time in ms, value]; a line and the area under it, from `span` ms before `now` to now. Where more than 5 s are
// missing, nobody looked: the line breaks.
export function spark(svg, points, now, span) {
  const [, , width, height] = svg.getAttribute('viewBox').split(' ').map(Number);
  const top = Math.max(1e-9, ...points.map(([, value]) => value)) * 1.15;
  const x = (at) => (1 - (now - at) / span) * width;
  const y = (value) => height - 1 - (value / top) * (height - 2);
  let line = '';
  let area = '';
  let last = null;
  for (const [at, value] of points) {
    if (now - at > span) continue;
    const here = `${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    const isNew = last === null || at - last > 5000;
    if (isNew && last !== null) area += `L${x(last).toFixed(1)} ${height}Z`;
    line += (isNew ? 'M' : 'L') + here;
    area += isNew ? `M${x(at).toFixed(1)} ${height}L${here}` : `L${here}`;
    last = at;
  }
  if (last !== null) area += `L${x(last).toFixed(1)} ${height}Z`;
  svg.querySelector('.line').setAttribute('d', line);
  svg.querySelector('.area').setAttribute('d', area);
}

// One bar a minute: [resumes, gaps, most behind].
export function minutes(svg, values) {
  const [, , width, height] = svg.getAttribute('viewBox').split(' ').map(Number);
  while (svg.childElementCount < values.length) svg.append(document.createElementNS(SVG, 'rect'));
  const most = Math.max(1, ...values.map((minute) => minute[2]));
  const step = width / values.length;
  values.forEach(([resumes, gaps, behind], index) => {
    const bar = svg.children[index];
    // Even nobody's distance is a mark, where somebody came.
    const size = resumes + gaps === 0 ? 0 : Math.max(1.5, (behind / most) * (height - 1));
    bar.setAttribute('x', (index * step).toFixed(2));
    bar.setAttribute('y', (height - size).toFixed(2));
    bar.setAttribute('width', (step * 0.75).toFixed(2));
    bar.setAttribute('height', size.toFixed(2));
    bar.classList.toggle('gap', gaps > 0);
  });
}

// A histogram: a column a bucket, its label under it.
export function bars(box, counts, labels) {
  while (box.childElementCount < counts.length) {
    const column = document.createElement('div');
    column.append(document.createElement('i'), document.createElement('span'));
    column.firstChild.append(document.createElement('b'));
    box.append(column);
  }
  box.classList.toggle('empty', counts.every((count) => count === 0));
  const most = Math.max(1, ...counts);
  const all = counts.reduce((sum, count) => sum + count, 0);
  counts.forEach((count, index) => {
    const column = box.children[index];
    const share = all === 0 ? 0 : (100 * count) / all;
    column.querySelector('b').style.height = `${count === 0 ? 0 : Math.max(2, (100 * count) / most)}%`;
    column.querySelector('span').textContent = labels[index];
    column.title = `${labels[index]}: ${count} (${share.toFixed(1)} %)`;
  });
}
