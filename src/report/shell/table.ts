import { html } from '../../base/escape.js'

/**
 * A table that scrolls where it is too wide. Of each column the name, and whether it holds text (on the left) or
 * numbers.
 */
export const plainTable = (
  label: string,
  head: readonly (readonly [string, boolean])[],
  rows: readonly (readonly string[])[],
): string =>
  `<div class="scroll" tabindex="0" role="region" aria-label="${html(label)}"><table class="plain"><thead><tr>${head
    .map(([name, text]) => `<th scope="col"${text ? ' class="l name"' : ''}>${html(name)}</th>`)
    .join('')}</tr></thead><tbody>${rows
    .map(
      (row) =>
        `<tr>${row.map((cell, i) => `<td${head[i]![1] ? ' class="l name"' : ''}>${html(cell)}</td>`).join('')}</tr>`,
    )
    .join('')}</tbody></table></div>`
