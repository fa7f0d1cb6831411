import { existsSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'

/** A Chromium of this machine. Its own background traffic is off, so that every request seen is the page's. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = [
    process.env.FC7_CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
  ].find((path) => path !== undefined && existsSync(path))
  if (executablePath === undefined) throw new Error('set FC7_CHROMIUM to a Chromium')
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
  })
}

export interface OpenReport {
  readonly page: Page
  /** Console errors and warnings, and errors of the page's script. */
  readonly troubles: string[]
  /** Whatever the page asked for outside itself. */
  readonly requests: string[]
}

/** Opens a report and waits until its script is done. */
export async function openReport(browser: Browser, html: string): Promise<OpenReport> {
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 }, colorScheme: 'light' })
  const troubles: string[] = []
  const requests: string[] = []
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && troubles.push(message.text()))
  page.on('pageerror', (error) => troubles.push(String(error)))
  page.on('request', (request) => {
    if (!/^(file|data):/.test(request.url())) requests.push(request.url())
  })
  await page.goto(pathToFileURL(html).href)
  await page.waitForSelector('html[data-ready=yes]')
  return { page, troubles, requests }
}

/** Luminance of a CSS colour as the browser computed it, 0 black to 1 white. */
const luminance = (rgb: string): number => {
  const channels = (rgb.match(/[\d.]+/g) ?? []).slice(0, 3).map((v) => {
    const c = Number(v) / 255
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * channels[0]! + 0.7152 * channels[1]! + 0.0722 * channels[2]!
}

/** WCAG contrast of the page's text on its paper. */
export async function bodyContrast(page: Page): Promise<number> {
  const [text, paper] = (await page.evaluate(
    '[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]',
  )) as [string, string]
  const [a, b] = [luminance(text), luminance(paper)]
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
}

/** Photographs the page where FC7_SHOTS names a folder. */
export async function shot(page: Page, name: string): Promise<void> {
  const folder = process.env.FC7_SHOTS
  if (folder) await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true })
}
