package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"mime/multipart"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miniprofile/miniprofile/auth/avatar"
)

// photograph makes a JPEG of 1600 by 1200 pixels and some 256 KiB, as rough as a camera's.
func photograph() ([]byte, error) {
	const width, height = 1600, 1200
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	noise := rand.New(rand.NewPCG(1, 2))
	for y := range height {
		for x := range width {
			m.Set(x, y, color.RGBA{uint8(x*255/width + noise.IntN(7)), uint8(y*255/height + noise.IntN(7)), uint8((x + y) & 63), 255})
		}
	}
	var b bytes.Buffer
	err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 91})
	return b.Bytes(), err
}

// process makes pictures of photo on all processors for a time and returns how many a second.
func process(ctx context.Context, photo []byte, length time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	p := avatar.New(0)
	var made atomic.Int64
	errs := make(chan error, runtime.NumCPU())
	var wg sync.WaitGroup
	began := time.Now()
	for range runtime.NumCPU() {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := p.Process(context.WithoutCancel(ctx), bytes.NewReader(photo)); err != nil {
					errs <- err
					return
				}
				made.Add(1)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return 0, err
	default:
	}
	return float64(made.Load()) / time.Since(began).Seconds(), nil
}

// picture sends photo as wx.uploadFile does.
func (s *signedIn) picture(photo []byte) func(client, n int) []byte {
	form, contentType := pictureForm(photo)
	requests := make([][]byte, len(s.tokens))
	for i, token := range s.tokens {
		requests[i] = append(fmt.Appendf(nil, "POST /graphql HTTP/1.1\r\nHost: bench\r\nContent-Type: %s\r\nContent-Length: %d\r\nAuthorization: Bearer %s\r\n\r\n",
			contentType, len(form), token), form...)
	}
	return func(client, _ int) []byte { return requests[client] }
}

// pictureForm is the body that sets photo, and its type.
func pictureForm(photo []byte) (form []byte, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	w.WriteField("operations", `{"query":"mutation Set($input: UpdateProfileInput!) { updateProfile(input: $input) { user { avatar { url } } } }","variables":{"input":{"avatar":null}}}`)
	w.WriteField("map", `{"picture":["variables.input.avatar"]}`)
	part, _ := w.CreateFormFile("picture", "photo.jpg")
	part.Write(photo)
	w.Close()
	return b.Bytes(), w.FormDataContentType()
}
