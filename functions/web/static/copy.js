/** Copy `text`, which is selected already: where scripts may not use the clipboard, people still can. */
export async function copySelected(button, text) {
  // Browsers offer the clipboard only to pages on https or localhost; the older way works everywhere.
  const done = await navigator.clipboard?.writeText(text).then(() => true, () => false);
  if (!done) document.execCommand("copy");
  const said = document.getElementById("said");
  button.textContent = said.textContent = "Copied";
  setTimeout(() => {
    button.textContent = "Copy";
    said.textContent = "";
  }, 1500);
}
