import { createHash } from 'node:crypto'
import { html } from '../../base/escape.js'

const cspHash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** What one page that stands alone is made of. */
export interface Shell {
  readonly title: string
  readonly style: string
  /** The page's own script; without one no script may run at all. */
  readonly script?: string | undefined
  /** Images inside the file (`data:`) are allowed only where they are asked for. */
  readonly images?: boolean | undefined
  readonly body: string
}

/**
 * A whole HTML page. Its policy allows its own style and script by hash, images inside the file if there are any, and
 * nothing else.
 */
export function shellPage({ title, style, script, images = false, body }: Shell): string {
  const policy = [
    "default-src 'none'",
    ...(images ? ['img-src data:'] : []),
    `style-src ${cspHash(style)}`,
    ...(script === undefined ? [] : [`script-src ${cspHash(script)}`]),
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
  return `<!doctype html>
<html lang="en" data-theme="auto">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="fc7">
<title>${html(title)}</title>
<style>${style}</style>
</head>
<body>
${body}
${script === undefined ? '' : `<script>${script}</script>\n`}</body>
</html>
`
}
