import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type Browser, chromium } from 'playwright-core'
import { fc7 } from '../cli/run.js'
import { tinyModel, writeTinyPictures } from '../support/tiny.js'

let root: string
let browser: Browser
let page: string

beforeAll(async () => {
  const executablePath = [
    process.env.FC7_CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
  ].find((path) => path && existsSync(path))
  browser = await chromium.launch({
    ...(executablePath ? { executablePath } : {}),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  root = await mkdtemp(join(tmpdir(), 'fc7-browser-'))
  const env = { FC7_CACHE: join(root, 'cache') }
  await writeFile(join(root, 'tiny.onnx'), tinyModel())
  await writeTinyPictures(join(root, 'photos'), { train: 12, test: 12 })
  await fc7(
    [
      'extract',
      join(root, 'photos'),
      '--model',
      join(root, 'tiny.onnx'),
      '--recipe',
      'torchvision',
      '--out',
      join(root, 'store'),
    ],
    { env },
  )
  const compared = await fc7(
    ['compare', join(root, 'store'), '--trainers', 'logistic,knn', '--out', join(root, 'evaluation')],
    { env },
  )
  expect([compared.code, compared.stderr]).toEqual([0, expect.any(String)])
  const written = await fc7(['report', join(root, 'evaluation'), '--json'], { env })
  page = JSON.parse(written.stdout).html
}, 120_000)
afterAll(async () => {
  await browser?.close()
  await rm(root, { recursive: true, force: true })
})

describe('the report in a browser', () => {
  it.each(['light', 'dark'] as const)(
    '%s: no console error, no request, and charts with marks',
    async (colorScheme) => {
      const tab = await browser.newPage({ colorScheme })
      const complaints: string[] = []
      const requests: string[] = []
      tab.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text())
      })
      tab.on('pageerror', (error) => complaints.push(String(error)))
      tab.on('request', (request) => {
        if (/^(https?|wss?):/.test(request.url())) requests.push(request.url())
      })
      await tab.goto(`file://${page}`)
      expect(await tab.locator('h1').count()).toBe(1)
      expect(await tab.locator('svg path').count()).toBeGreaterThan(10)
      expect(await tab.locator('table').count()).toBeGreaterThan(1)
      expect(complaints).toEqual([])
      expect(requests).toEqual([])
      await tab.close()
    },
    60_000,
  )
})
