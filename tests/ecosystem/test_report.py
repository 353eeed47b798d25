"""report.html in a browser: what a reader sees and does with it, at a desk and on a phone, by mouse and by keyboard."""

import json
import re

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-background-networking --no-first-run --disable-component-update"
)
WIDTHS = [1280, 360]
PICTURES = ["confusion_matrix", "reliability", "mistakes", "samples", "augmented", "curves"]

# Class names as a stranger's folders may have them.
HOSTILE = ["<script>document.title='owned'</script>", "</script><img src=x onerror=alert(1)>", "\" onmouseover=\"alert(2)"]

# Contrast of every visible text with what is behind it, by WCAG 2.2 (relative luminance, 1.4.3).
CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const rgba = (css) => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = (c) => {
  const [r, g, b] = c.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const c = rgba(getComputedStyle(e).backgroundColor);
    if (c[3] === 255) return c;
  }
  return [255, 255, 255, 255];
};
const poor = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const element = node.parentElement;
  if (!node.textContent.trim() || ['SCRIPT', 'STYLE', 'TITLE', 'title'].includes(element.tagName)) continue;
  if (!element.checkVisibility({ visibilityProperty: true })) continue;
  const style = getComputedStyle(element);
  const color = rgba(element.namespaceURI.endsWith('svg') ? style.fill : style.color);
  const [a, b] = [luminance(color), luminance(behind(element))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) poor.push([node.textContent.trim().slice(0, 40), ratio]);
}
return poor;
"""


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window, that tells of every request and every line of its console."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


def opened(browser, run, width=1280, scheme="light", script=True):
    """Opens a run's report at this width of a window, in this colour scheme, with or without scripts."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature], "media": ""})
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get((run / "report.html").as_uri())
    return browser


def one(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def every(browser, selector):
    return browser.find_elements(By.CSS_SELECTOR, selector)


def press(browser, key):
    browser.switch_to.active_element.send_keys(key)


@pytest.fixture(scope="session")
def hostile_run(galaxy_gpu, tmp_path_factory):
    """A run whose classes have the names of HOSTILE."""
    folder = tmp_path_factory.mktemp("hostile")
    galaxy_gpu("data", "simulate", "--out", folder / "galaxies.h5", "--images", 60, "--size", 16)
    names = [*HOSTILE, *(f"class {number}" for number in range(3, 10))]
    names = ",".join(name.replace(",", ";") for name in names)
    galaxy_gpu("train", "--data", folder / "galaxies.h5", "--class-names", names, "--model", "conv3", "--epochs", 1,
               "--augment", "off", "--out", folder / "run")
    return folder / "run"


def test_the_run_folder_explains_itself(trained_run):
    for name in PICTURES:
        assert (trained_run / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
    log = (trained_run / "log.txt").read_text()
    lines = log.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", line) for line in lines), log
    for wanted in ["data     simulated galaxies", "epoch 1/2  loss", "epoch 2/2  loss", "test     accuracy", "weights  hash"]:
        assert sum(wanted in line for line in lines) == 1, f"{wanted} in {log}"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_renders_alone_within_its_window_and_readably(browser, trained_run, width, scheme):
    opened(browser, trained_run, width, scheme)
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if not url.startswith(("data:", "file:"))] == []
    assert sum(url.startswith("file:") for url in urls) == 1, "the page itself and no other file"
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script("return [...document.images].every((image) => image.naturalWidth > 0)")
    one(browser, "details summary").click()
    assert browser.execute_script(CONTRAST) == []
    luminous = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    bright = sum(map(int, re.findall(r"\d+", luminous)[:3])) > 384
    assert bright == (scheme == "light")


def test_the_theme_button_overrules_the_system(browser, trained_run):
    opened(browser, trained_run)
    color = lambda: browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    button = one(browser, "#theme")
    seen = []
    for text in ["auto", "light", "dark", "auto"]:
        assert button.text == f"Theme: {text}"
        seen.append(color())
        button.click()
    assert seen[0] == seen[1] == seen[3] != seen[2]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_cell_opens_its_images_by_click_and_by_keyboard(browser, trained_run, width):
    opened(browser, trained_run, width)
    metrics = json.loads((trained_run / "metrics.json").read_text())
    confusion = metrics["confusion"]
    cells = every(browser, "[data-cell]")
    assert len(cells) == sum(count > 0 for row in confusion for count in row)
    for act in [lambda cell: cell.click(), lambda cell: cell.send_keys(Keys.ENTER), lambda cell: cell.send_keys(Keys.SPACE)]:
        cell = cells[-1]
        label, predicted = map(int, cell.get_attribute("data-cell").split("-"))
        act(cell)
        dialog = one(browser, "dialog[open]")
        images = every(dialog, "img")
        assert len(images) == min(confusion[label][predicted], 12)
        assert browser.execute_script("return arguments[0].every((image) => image.naturalWidth === 32)", images)
        names = [metrics["per_class"][number]["name"] for number in (label, predicted)]
        words = f"True and predicted: {names[0]}" if label == predicted else f"True: {names[0]}, predicted: {names[1]}"
        assert one(dialog, "h2").text == words
        assert f"{confusion[label][predicted]} image" in one(dialog, "p").text
        assert re.search(r"\d\.\d % · image \d+", dialog.text)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        press(browser, Keys.ESCAPE)
        assert every(browser, "dialog[open]") == []
        assert browser.switch_to.active_element == cell, "focus returns to the cell"
    cells[0].click()
    one(browser, "#close").click()
    assert every(browser, "dialog[open]") == []


def test_the_keyboard_walks_through_the_page_and_the_matrix(browser, trained_run):
    opened(browser, trained_run)
    browser.execute_script("document.body.focus()")
    stops = []
    for _ in range(40):
        press(browser, Keys.TAB)
        focus = browser.switch_to.active_element
        assert browser.execute_script("return getComputedStyle(arguments[0]).outlineStyle", focus) != "none"
        stops.append(focus.get_attribute("id") or focus.get_attribute("href") or focus.get_attribute("data-cell") or focus.tag_name)
        if focus.get_attribute("data-cell"):
            break
    assert stops[0].endswith("#summary") and stops[1] == "theme" and stops[2].endswith("#summary"), stops
    assert stops.count("svg") == 2 and stops.index("svg") > stops.index("theme"), stops
    first = browser.switch_to.active_element.get_attribute("data-cell")
    assert first == every(browser, "[data-cell]")[0].get_attribute("data-cell")
    press(browser, Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("data-cell") is None, "one stop for the whole matrix"
    browser.execute_script("arguments[0].focus()", every(browser, "[data-cell]")[0])
    rows = lambda: [int(n) for n in browser.switch_to.active_element.get_attribute("data-cell").split("-")]
    before = rows()
    press(browser, Keys.ARROW_DOWN)
    after = rows()
    cells = {tuple(map(int, cell.get_attribute("data-cell").split("-"))) for cell in every(browser, "[data-cell]")}
    below = [cell for cell in sorted(cells) if cell[1] == before[1] and cell[0] > before[0]]
    assert after == list(below[0] if below else before)


def test_curves_say_their_values_and_can_be_hidden(browser, trained_run):
    opened(browser, trained_run)
    epochs = [line.split(",") for line in (trained_run / "history.csv").read_text().split()[1:]]
    chart = one(browser, "figure[data-chart=accuracy]")
    svg, readout = one(chart, "svg"), one(chart, ".readout")
    browser.execute_script("arguments[0].focus()", svg)
    for key, epoch in [(Keys.ARROW_RIGHT, 0), (Keys.ARROW_RIGHT, 1), (Keys.ARROW_RIGHT, 1), (Keys.HOME, 0), (Keys.END, 1)]:
        press(browser, key)
        accuracy, validation = (f"{float(epochs[epoch][column]):.4f}" for column in (2, 4))
        assert readout.text == f"epoch {epoch + 1}: training {accuracy}, test {validation}"
    webdriver.ActionChains(browser).move_to_element_with_offset(svg, -svg.size["width"] // 3, 0).perform()
    assert readout.text.startswith("epoch 1: ")
    loss = one(browser, "figure[data-chart=loss]")
    for button, hidden in [("[data-chart=loss]", loss), ("[data-series=val]", one(chart, "g.val"))]:
        button = one(browser, f"button{button}")
        for pressed in ["true", "false", "true"]:
            assert button.get_attribute("aria-pressed") == pressed
            assert hidden.is_displayed() == (pressed == "true")
            button.click()


def test_cells_say_counts_and_percent_and_tables_sort(browser, trained_run):
    opened(browser, trained_run)
    confusion = json.loads((trained_run / "metrics.json").read_text())["confusion"]
    for cell in every(browser, "[data-cell]"):
        label, predicted = map(int, cell.get_attribute("data-cell").split("-"))
        count, percent = (text.text for text in cell.find_elements(By.TAG_NAME, "text"))
        assert count == str(confusion[label][predicted])
        assert abs(float(percent.rstrip(" %")) - 100 * confusion[label][predicted] / sum(confusion[label])) <= 0.05
    column = lambda: [float(cell.text) for cell in every(browser, "#classes tbody td:nth-child(5)")]
    head = one(browser, "#classes th:nth-child(5) button")
    for order, reverse in [("descending", True), ("ascending", False)]:
        head.send_keys(Keys.ENTER)
        assert one(browser, "#classes th:nth-child(5)").get_attribute("aria-sort") == order
        assert column() == sorted(column(), reverse=reverse)


def test_without_scripts_what_is_static_is_there(browser, trained_run):
    opened(browser, trained_run, script=False)
    try:
        for section in ["curves", "confusion", "classes", "calibration", "mistakes", "samples", "model", "kernels"]:
            assert one(browser, f"#{section} h2").is_displayed(), section
        assert len(every(browser, "#curves path.curve")) >= 4 and len(every(browser, "#confusion [data-cell]")) > 0
        assert len(every(browser, "#mistakes img")) > 0
        assert not any(element.is_displayed() for element in every(browser, ".script"))
        assert "galaxy-gpu train --images 200 --size 32 --model conv3 --epochs 2" in one(browser, "#reproduce code").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_hostile_names_stay_words(browser, hostile_run):
    opened(browser, hostile_run, 360)
    assert browser.get_log("browser") == []
    assert "owned" not in browser.title.split("–")[-1] and browser.title != "owned"
    names = [cell.get_attribute("textContent") for cell in every(browser, "#classes tbody th")]
    assert names[:3] == [name.replace(",", ";") for name in HOSTILE]
    assert every(browser, "img[src=x]") == [] and every(browser, "[onmouseover]") == []
    every(browser, "[data-cell]")[0].click()
    assert "<script>" in one(browser, "dialog[open] h2").text
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_charts_are_pictures_for_papers_too(galaxy_gpu, trained_run, ending):
    galaxy_gpu("report", trained_run, "--format", ending)
    for name in ["curves", "confusion_matrix", "reliability"]:
        first = (trained_run / f"{name}.{ending}").read_bytes()
        assert first.startswith({"svg": b"<svg xmlns", "pdf": b"%PDF-"}[ending]), name
        (trained_run / f"{name}.{ending}").unlink()


def test_the_command_makes_it_anew(galaxy_gpu, trained_run, browser):
    before = {name: (trained_run / f"{name}.png").read_bytes() for name in PICTURES}
    for name in PICTURES:
        (trained_run / f"{name}.png").unlink()
    (trained_run / "report.html").unlink()
    galaxy_gpu("report", trained_run)
    assert {name: (trained_run / f"{name}.png").read_bytes() for name in PICTURES} == before, "to the bit"
    opened(browser, trained_run)
    assert browser.get_log("browser") == []


def test_no_report_leaves_none_and_other_data_is_refused(galaxy_gpu, tmp_path):
    galaxy_gpu("train", "--images", 60, "--size", 16, "--model", "conv3", "--epochs", 1, "--no-report", "--out", tmp_path / "run")
    assert not (tmp_path / "run/report.html").exists() and (tmp_path / "run/log.txt").exists()
    galaxy_gpu("data", "simulate", "--out", tmp_path / "other.h5", "--images", 50, "--size", 16)
    refused = galaxy_gpu("report", tmp_path / "run", "--data", tmp_path / "other.h5", code=2)
    assert "name the run's own data" in refused.stderr
    assert "no such" in galaxy_gpu("report", tmp_path / "nowhere", code=2).stderr.lower()
