const stroke = { width: 18, height: 18, viewBox: '0 0 24 24', fill: 'none', stroke: 'currentColor', strokeWidth: 1.7, strokeLinecap: 'round', strokeLinejoin: 'round', 'aria-hidden': true }

export const LibraryIcon = () => <svg {...stroke}><path d="M5 4h14M5 9h14M5 14h9M5 19h6" /></svg>
export const MoonIcon = () => <svg {...stroke}><path d="M20 14.500A8.500 8.500 0 1 1 9.500 4a7 7 0 0 0 10.500 10.500z" /></svg>
export const SunIcon = () => <svg {...stroke}><circle cx="12" cy="12" r="4" /><path d="M12 2v2.500M12 19.500V22M2 12h2.500M19.500 12H22M4.900 4.900l1.800 1.800M17.300 17.300l1.800 1.800M4.900 19.100l1.800-1.800M17.300 6.700l1.800-1.800" /></svg>
export const SystemIcon = () => <svg {...stroke}><circle cx="12" cy="12" r="8.500" /><path d="M12 3.500a8.500 8.500 0 0 1 0 17z" fill="currentColor" /></svg>
export const PictureIcon = () => <svg {...stroke}><rect x="3.500" y="5" width="17" height="14" rx="2.500" /><circle cx="9" cy="10" r="1.600" /><path d="m4 17 5-4 3.500 2.500L16.500 12l4 4" /></svg>
export const CopyIcon = () => <svg {...stroke}><rect x="8.500" y="8.500" width="11.500" height="11.500" rx="2" /><path d="M5.500 15.500A1.500 1.500 0 0 1 4 14V5.500A1.500 1.500 0 0 1 5.500 4H14a1.500 1.500 0 0 1 1.500 1.500" /></svg>
export const RunIcon = () => <svg {...stroke} fill="currentColor"><path d="M8 5.500v13l10.500-6.500z" /></svg>
export const StopIcon = () => <svg {...stroke} fill="currentColor"><rect x="7" y="7" width="10" height="10" rx="1" /></svg>
export const SparkIcon = () => <svg {...stroke}><path d="m4 20 9.500-9.500M17 3v4M15 5h4M20 12v3M18.500 13.500h3M11 3.500v2M10 4.500h2" /></svg>
export const CloseIcon = () => <svg {...stroke}><path d="m6.500 6.500 11 11M17.500 6.500l-11 11" /></svg>
export const DownIcon = () => <svg {...stroke} width="14" height="14"><path d="m6 9.500 6 6 6-6" /></svg>
export const PersonIcon = () => <svg {...stroke}><circle cx="12" cy="8.500" r="3.800" /><path d="M4.500 20c.6-4.200 3.500-6.300 7.500-6.300s6.900 2.100 7.500 6.300" /></svg>
