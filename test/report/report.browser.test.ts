import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from '@jest/globals'
import { chromium } from 'playwright-core'
import { writeReport } from '../../src/report/report.js'
import { madeInput } from '../fixtures/report/made.js'

const executablePath = [
  process.env.FC7_CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => path !== undefined && existsSync(path))

describe('the report in a browser', () => {
  it('opens without errors or requests, shows charts, pictures, dark mode and print', async () => {
    if (executablePath === undefined) throw new Error('set FC7_CHROMIUM to a Chromium')
    const folder = await mkdtemp(join(tmpdir(), 'fc7-report-'))
    const { html } = await writeReport(await madeInput(), join(folder, 'report.html'))
    const browser = await chromium.launch({
      executablePath,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    })
    try {
      const page = await browser.newPage({ viewport: { width: 1200, height: 900 } })
      const troubles: string[] = []
      const requests: string[] = []
      page.on('console', (message) => ['error', 'warning'].includes(message.type()) && troubles.push(message.text()))
      page.on('pageerror', (error) => troubles.push(String(error)))
      page.on('request', (request) => requests.push(request.url()))
      await page.goto(pathToFileURL(html).href)
      await page.waitForSelector('html[data-ready=yes]')
      expect(await page.locator('.chart path').count()).toBeGreaterThan(20)
      const cell = page.locator('#trainer-1 button.cell.ok').first()
      const count = Number(await cell.textContent())
      await cell.focus()
      await page.keyboard.press('Enter')
      expect(await page.locator('#trainer-1 .behind .pic').count()).toBe(Math.min(40, count))
      expect(await page.evaluate('window.hacked')).toBeUndefined()
      expect(await page.locator('#trainer-1 th[scope=row]').nth(2).textContent()).toBe('__proto__')
      const shots = process.env.FC7_SHOTS
      const shot = async (name: string): Promise<void> => {
        if (shots) await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true })
      }
      await shot('light')
      const background = (): Promise<unknown> => page.evaluate('getComputedStyle(document.body).backgroundColor')
      const light = await background()
      await page.emulateMedia({ colorScheme: 'dark' })
      expect(await background()).not.toBe(light)
      await shot('dark')
      await page.locator('#map canvas').focus()
      await page.keyboard.press('ArrowRight')
      expect(await page.locator('.maptip .pic').count()).toBe(1)
      await page.setViewportSize({ width: 390, height: 800 })
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390)
      await shot('narrow')
      const pdf = await page.pdf({ format: 'A4' })
      expect(pdf.length).toBeGreaterThan(20_000)
      expect(troubles).toEqual([])
      expect(requests.filter((url) => !/^(file|data):/.test(url))).toEqual([])
    } finally {
      await browser.close()
      await rm(folder, { recursive: true, force: true })
    }
  })
})
