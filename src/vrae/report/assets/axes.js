/* Numbers and dates as text, and round values for axes. */
const MINUS = "−";
const signed = (text) => text.replace("-", MINUS);

/** A number for reading: three digits, thousands separators, a true minus sign. */
function plain(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size && (size < 1e-4 || size >= 1e15)) return signed(value.toExponential(1));
  return signed(value.toLocaleString("en", size >= 1000 && digits <= 4 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: digits }));
}

/** How many digits it takes to tell numbers within a range apart. */
function digitsFor(low, high) {
  const size = Math.max(Math.abs(low), Math.abs(high));
  return size > 0 && high > low ? Math.min(15, Math.max(3, Math.ceil(Math.log10(size / (high - low)) - 0.01) + 3)) : 3;
}

/** Round numbers between low and high, about as many as wanted. */
function ticks(low, high, wanted = 4) {
  const rough = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * (1 - 1e-9));
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found.map((value) => Number(value.toPrecision(15)));
}

/**
 * Ticks of numbers with texts that differ: {values, texts, offset}. Where the numbers are large and
 * close together, the texts are differences to `offset`, which is written once.
 */
function numberTicks(low, high, wanted = 4) {
  const few = ticks(low, high, wanted);
  const values = few.length > 1 ? few : ticks(low, high, 2 * wanted);
  const step = values.length > 1 ? values[1] - values[0] : high - low;
  const size = Math.max(Math.abs(low), Math.abs(high));
  const isClose = size / step > 2e4;
  const unit = 10 ** Math.ceil(Math.log10(high - low));
  const offset = isClose ? Math.floor(low / unit) * unit : 0;
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-6));
  const write = (value) => {
    if (decimals > 6) return value ? signed(value.toExponential(1)) : "0";
    const isLarge = Math.max(Math.abs(low - offset), Math.abs(high - offset)) >= 1e6;
    return signed(value.toLocaleString("en", isLarge
      ? { notation: "compact", maximumSignificantDigits: 4 } : { maximumFractionDigits: decimals }));
  };
  return { values, offset, texts: values.map((value) => (offset && value > offset ? "+" : "") + write(Number((value - offset).toPrecision(12)))) };
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;
const CLOCK_STEPS = [1, 5, 15, 30].flatMap((size) => [size * SECOND]).concat(
  [1, 5, 15, 30].map((size) => size * 60 * SECOND), [1, 3, 6, 12].map((size) => size * HOUR), [1, 2].map((size) => size * DAY));
const clockText = (date, seconds) => date.toISOString().slice(11, seconds ? 19 : 16);
const dayText = (date) => `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;

/** A date in full, with a time of day where it has one. */
function dateText(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return "";
  const clock = date.getTime() % DAY ? ` ${clockText(date, date.getTime() % (60 * SECOND))}` : "";
  return `${dayText(date)} ${date.getUTCFullYear()}${clock}`;
}

/** Ticks of dates between two times in milliseconds: {values, texts}, texts no longer than "12 Mar 2024". */
function dateTicks(low, high, wanted = 4) {
  const span = (high - low) / Math.max(1, wanted);
  const step = CLOCK_STEPS.find((size) => size >= span);
  if (step !== undefined) return clockTicks(low, high, step);
  if (span < 25 * DAY) return dayTicks(low, high, [7, 14, 28].find((days) => days * DAY >= span) ?? 28);
  const months = [1, 2, 3, 6, 12].find((size) => size * 30.5 * DAY >= span);
  return months ? monthTicks(low, high, months) : yearTicks(low, high, wanted);
}

function clockTicks(low, high, step) {
  const values = [];
  for (let time = Math.ceil(low / step) * step; time <= high; time += step) values.push(time);
  const texts = values.map((time, i) => {
    const date = new Date(time);
    if (step >= DAY || time % DAY === 0) return i ? dayText(date) : dateText(time - (time % DAY));
    return i ? clockText(date, step < 60 * SECOND) : `${dayText(date)} ${clockText(date, step < 60 * SECOND)}`;
  });
  return { values, texts };
}

function dayTicks(low, high, days) {
  const monday = (Math.ceil((low / DAY - 4) / 7) * 7 + 4) * DAY; // 1970-01-05 was a Monday
  const values = [];
  for (let time = monday; time <= high; time += days * DAY) values.push(time);
  return { values, texts: values.map((time, i) => (i ? dayText(new Date(time)) : dateText(time))) };
}

function monthTicks(low, high, size) {
  const values = [];
  const first = new Date(low);
  for (let month = first.getUTCFullYear() * 12 + first.getUTCMonth(); ; month++) {
    const time = Date.UTC(Math.floor(month / 12), month % 12);
    if (time > high) break;
    if (time >= low && month % size === 0) values.push(time);
  }
  const isYears = size === 12;
  return { values, texts: values.map((time) => `${isYears ? "" : `${MONTHS[new Date(time).getUTCMonth()]} `}${new Date(time).getUTCFullYear()}`) };
}

function yearTicks(low, high, wanted) {
  const [from, to] = [low, high].map((time) => 1970 + time / (365.2425 * DAY));
  const years = ticks(from, to, wanted).filter(Number.isInteger);
  const times = years.map((year) => { const date = new Date(Date.UTC(2000, 0)); date.setUTCFullYear(year); return date.getTime(); });
  return { values: times, texts: years.map(String) };
}
