// What the page does beyond showing itself: curves that say their values, cells that open, tables that sort, themes.
// Words of the data only ever become text, never markup.
(() => {
  'use strict';
  const root = document.documentElement;
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const one = (id) => document.getElementById(id);
  const data = JSON.parse(one('data').textContent);
  root.classList.add('scripted');

  const add = (parent, name, text) => {
    const element = parent.appendChild(document.createElement(name));
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // themes: what the system says, until a button is pressed
  const themes = ['auto', 'light', 'dark'];
  one('theme').addEventListener('click', () => {
    const next = themes[(themes.indexOf(root.dataset.theme || 'auto') + 1) % themes.length];
    if (next === 'auto') delete root.dataset.theme; else root.dataset.theme = next;
    one('theme').querySelector('span').textContent = next;
  });

  // curves
  const number = (value) => value === null ? 'not a number' : value.toFixed(4);
  const charts = data.charts.map((chart) => {
    const figure = document.querySelector(`figure[data-chart="${chart.key}"]`);
    const svg = figure.querySelector('svg');
    svg.tabIndex = 0;
    const shape = (parent, name, attributes) => {
      const element = parent.appendChild(document.createElementNS(svg.namespaceURI, name));
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      return element;
    };
    const dots = chart.series.map((series) => {
      const group = svg.appendChild(svg.querySelector(`g.${series.key}`).cloneNode());
      return shape(group, 'circle', { r: 4.5, class: 'dot here', hidden: '' });
    });
    const frame = svg.querySelector('rect.axis').getBBox();
    const cursor = shape(svg, 'line', { class: 'cursor', y1: frame.y, y2: frame.y + frame.height, hidden: '' });
    return { chart, figure, svg, dots, cursor, readout: figure.querySelector('.readout') };
  });
  let here = null;
  const read = (place) => {
    here = place;
    for (const { chart, dots, cursor, readout } of charts) {
      const x = chart.x[place];
      cursor.setAttribute('x1', x);
      cursor.setAttribute('x2', x);
      cursor.removeAttribute('hidden');
      chart.series.forEach((series, index) => {
        const y = series.y[place];
        dots[index].toggleAttribute('hidden', y === null);
        if (y !== null) { dots[index].setAttribute('cx', x); dots[index].setAttribute('cy', y); }
      });
      const values = chart.series.map((series) => `${series.name} ${number(series.values[place])}`);
      readout.textContent = `epoch ${chart.epochs[place]}: ${values.join(', ')}`;
    }
  };
  for (const { chart, svg } of charts) {
    const last = chart.x.length - 1;
    if (last < 0) continue;
    svg.addEventListener('pointermove', (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).x;
      read(chart.x.reduce((best, x, place) => Math.abs(x - at) < Math.abs(chart.x[best] - at) ? place : best, 0));
    });
    svg.addEventListener('keydown', (event) => {
      const from = here === null ? -1 : here;
      const to = { ArrowLeft: Math.max(from - 1, 0), ArrowRight: Math.min(from + 1, last), Home: 0, End: last }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      read(to);
    });
  }
  const toggle = (button) => {
    const pressed = button.getAttribute('aria-pressed') !== 'true';
    button.setAttribute('aria-pressed', pressed);
    return pressed;
  };
  for (const button of all('button[data-chart]')) {
    const { figure } = charts.find(({ chart }) => chart.key === button.dataset.chart);
    button.addEventListener('click', () => figure.classList.toggle('off', !toggle(button)));
  }
  for (const button of all('button[data-series]')) {
    button.addEventListener('click', () => {
      const shown = toggle(button);
      for (const { svg } of charts) {
        for (const group of all(`g.${button.dataset.series}`, svg)) group.toggleAttribute('hidden', !shown);
      }
    });
  }

  // confusion matrix: one stop for the tab key, arrows within
  const matrix = document.querySelector('.matrix');
  const cells = new Map(all('[data-cell]', matrix).map((cell) => [cell.dataset.cell, cell]));
  cells.forEach((cell) => cell.setAttribute('role', 'button'));
  const size = data.classes.length;
  const stop = (cell) => cells.forEach((other) => { other.tabIndex = other === cell ? 0 : -1; });
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  if (cells.size) stop(cells.values().next().value);
  matrix.addEventListener('keydown', (event) => {
    const step = steps[event.key];
    const presses = event.key === 'Enter' || event.key === ' ';
    if (!(step || presses) || !event.target.dataset.cell) return;
    event.preventDefault();
    if (presses) return open(event.target);
    let [row, column] = event.target.dataset.cell.split('-').map(Number);
    for (;;) {
      row += step[0];
      column += step[1];
      if (row < 0 || column < 0 || row >= size || column >= size) return;
      const next = cells.get(`${row}-${column}`);
      if (next) { stop(next); next.focus(); return; }
    }
  });
  const dialog = one('images');
  const open = (cell) => {
    stop(cell);
    const [label, predicted] = cell.dataset.cell.split('-').map(Number);
    const shown = data.cells[cell.dataset.cell] || [];
    const count = Number(cell.querySelector('.count').textContent);
    const words = cell.querySelector('title').textContent;
    one('images-title').textContent = label === predicted
      ? `True and predicted: ${data.classes[label]}`
      : `True: ${data.classes[label]}, predicted: ${data.classes[predicted]}`;
    one('images-note').textContent = words.slice(words.lastIndexOf(': ') + 2) + '; ' +
      (shown.length === count ? 'the surest first.' : `the ${shown.length} surest are in this file.`);
    const list = one('images-list');
    list.replaceChildren();
    for (const [image, confidence, src] of shown) {
      const figure = add(list, 'figure');
      const picture = add(figure, 'img');
      picture.src = src;
      picture.alt = `Image ${image}: true ${data.classes[label]}, predicted ${data.classes[predicted]}`;
      add(figure, 'figcaption', `${confidence} · image\u00a0${image}`);
    }
    dialog.showModal();
    dialog.scrollTop = 0;
  };
  cells.forEach((cell) => cell.addEventListener('click', () => open(cell)));
  one('close').addEventListener('click', () => dialog.close());
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });

  // tables that sort by a column, first as numbers fall
  for (const table of all('table.sortable')) {
    const body = table.tBodies[0];
    const heads = all('thead th', table);
    heads.forEach((head, column) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = head.textContent;
      head.replaceChildren(button);
      const isText = head.classList.contains('text');
      button.addEventListener('click', () => {
        const falls = head.getAttribute('aria-sort') ? head.getAttribute('aria-sort') === 'ascending' : !isText;
        heads.forEach((other) => other.removeAttribute('aria-sort'));
        head.setAttribute('aria-sort', falls ? 'descending' : 'ascending');
        const text = (row) => row.cells[column].textContent;
        const order = isText ? (a, b) => text(a).localeCompare(text(b)) : (a, b) => Number(text(a)) - Number(text(b));
        body.append(...[...body.rows].sort((a, b) => falls ? order(b, a) : order(a, b)));
      });
    });
  }

  one('copy').addEventListener('click', () => {
    const code = document.querySelector('.command code');
    getSelection().selectAllChildren(code);
    const copied = () => { one('copy').textContent = 'Copied'; };
    // without the clipboard the command is at least selected
    if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(copied, () => {});
  });
})();
