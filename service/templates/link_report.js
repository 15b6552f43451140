const specs = JSON.parse(document.getElementById("specs").textContent);
const options = {
  mode: "vega-lite",
  renderer: "svg",
  ast: true,
  defaultStyle: false,
  forceActionsMenu: true,
  tooltip: { disableDefaultStyle: true },
  actions: { export: true, source: false, compiled: false, editor: false },
};
const draw = async (spec, at) => {
  const place = document.getElementById(`chart-${at + 1}`);
  try {
    await vegaEmbed(place, spec, options);
    place.dataset.state = "drawn";
  } catch (error) {
    place.dataset.state = "failed";
    place.textContent = "This chart could not be drawn.";
    console.error(error);
  }
};
await Promise.all(specs.map(draw));
document.documentElement.dataset.charts = "done";
