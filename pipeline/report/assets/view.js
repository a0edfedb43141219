// A view of fixed points that turns.
"use strict";

const figure = JSON.parse(document.getElementById("figure").textContent);
// Farther away on a narrow screen, so that the labels of the axes are within it.
if (innerWidth < 600)
  figure.layout.scene = {
    ...figure.layout.scene,
    camera: { eye: { x: 2.7, y: 2.7, z: 2.0 }, center: { x: 0, y: 0, z: -0.1 } },
  };
const options = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["resetCameraLastSave3d"] };
Plotly.newPlot("view", figure.data, figure.layout, options).catch(() => {
  document.getElementById("problem").hidden = false;
});
