// The sound of an alarm, made of two tones; there is no file to load.

import type { Severity } from "../api/client.ts";

/** Hertz of the tones, one after the other. */
const TONES: Record<Severity, readonly number[]> = { critical: [880, 659, 880, 659], warning: [659, 784], info: [659] };
const TONE_SECONDS = 0.17;
const LOUDNESS = 0.2;

let context: AudioContext | null = null;

/** Whether the browser lets this page sound: not before somebody did something in it. */
export const canSound = () => typeof AudioContext !== "undefined" && navigator.userActivation?.hasBeenActive !== false;

export function chime(severity: Severity): void {
  if (!canSound()) return;
  context ??= new AudioContext();
  void context.resume();
  const gain = context.createGain();
  gain.connect(context.destination);
  const begin = context.currentTime + 0.02;
  TONES[severity].forEach((hertz, index) => {
    if (!context) return;
    const at = begin + index * TONE_SECONDS;
    const tone = context.createOscillator();
    tone.frequency.value = hertz;
    tone.connect(gain);
    tone.start(at);
    tone.stop(at + TONE_SECONDS);
    // without edges that click
    gain.gain.setValueAtTime(0.0001, at);
    gain.gain.exponentialRampToValueAtTime(LOUDNESS, at + 0.02);
    gain.gain.exponentialRampToValueAtTime(0.0001, at + TONE_SECONDS - 0.01);
  });
}
