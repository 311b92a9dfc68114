package server

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	logWait  = 100 * time.Millisecond // how long a line waits for others
	logBytes = 64 << 10               // how much waits at most
)

// Log gathers lines and writes many of them at once: a write for each would cost
// as much as a tenth of a request. What is a warning or worse it writes at once,
// with all before it. A crash of the machine or a kill -9 loses at most what was
// gathered in a tenth of a second.
type Log struct {
	mu    sync.Mutex
	w     io.Writer
	lines []byte
	timer *time.Timer
}

// NewLog makes a Log that writes to w. Flush it before the process ends.
func NewLog(w io.Writer) *Log { return &Log{w: w} }

// Logger returns a logger that writes lines of a level and above: JSON, or text
// for people to read.
func (l *Log) Logger(level slog.Leveler, text bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if text {
		return slog.New(prompt{slog.NewTextHandler(l, options), l})
	}
	return slog.New(prompt{slog.NewJSONHandler(l, options), l})
}

// Write takes whole lines.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == 0 {
		if l.timer == nil {
			l.timer = time.AfterFunc(logWait, func() { l.Flush() })
		} else {
			l.timer.Reset(logWait)
		}
	}
	l.lines = append(l.lines, line...)
	if len(l.lines) >= logBytes {
		return len(line), l.flush()
	}
	return len(line), nil
}

// Flush writes what was gathered.
func (l *Log) Flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flush()
}

func (l *Log) flush() error {
	if len(l.lines) == 0 {
		return nil
	}
	_, err := l.w.Write(l.lines)
	l.lines = l.lines[:0]
	return err
}

// prompt flushes after a warning.
type prompt struct {
	slog.Handler
	log *Log
}

func (p prompt) Handle(ctx context.Context, r slog.Record) error {
	err := p.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		p.log.Flush()
	}
	return err
}

func (p prompt) WithAttrs(attrs []slog.Attr) slog.Handler {
	return prompt{p.Handler.WithAttrs(attrs), p.log}
}

func (p prompt) WithGroup(name string) slog.Handler { return prompt{p.Handler.WithGroup(name), p.log} }
