// What has the focus is drawn anew every few seconds: how it is found again, so that who works by keyboard stays where they are.

/** What finds `one`, which is within `element`, after that was drawn anew: by its key, or its place within what has one; null where it is no more. */
export function again(element, one) {
  const path = [];
  let from = one;
  for (; from !== element && !from.dataset?.key; from = from.parentElement) path.unshift([...from.parentElement.children].indexOf(from));
  const key = from === element ? null : from.dataset.key;
  return () => {
    const start = key === null ? element : element.querySelector(`[data-key="${CSS.escape(key)}"]`);
    const found = path.reduce((at, place) => at?.children[place], start);
    return found?.tagName === one.tagName ? found : null;
  };
}
