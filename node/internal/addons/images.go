package addons

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"berth.dev/node/internal/ociimage"
)

// References of the images that the node itself needs. They are imported into containerd and never pulled.
const (
	PauseReference         = "berth.internal/pause:1"
	CoreDNSReference       = "berth.internal/coredns:1.15.0"
	MetricsServerReference = "berth.internal/metrics-server:0.9.0"
)

// nobody is the user that the add-ons run as; it owns nothing.
const nobody = "65532:65532"

// programs are the binaries, one in each image.
var programs = map[string]string{PauseReference: "pause", CoreDNSReference: "coredns", MetricsServerReference: "metrics-server"}

// References of all of them, sorted.
func References() []string { return slices.Sorted(maps.Keys(programs)) }

// Fingerprint of the images that these binaries make: as long as it stays the same, Images gives what it gave before.
func Fingerprint(binaries string) (string, error) {
	var text strings.Builder
	for _, reference := range References() {
		info, err := os.Stat(filepath.Join(binaries, programs[reference]))
		if err != nil {
			return "", fmt.Errorf("looking at the binary of %s: %w", reference, err)
		}
		fmt.Fprintln(&text, reference, info.Size(), info.ModTime().UnixNano())
	}
	return text.String(), nil
}

// Images builds them from the static binaries pause, coredns and metrics-server in this folder, by reference, ready for ociimage.WriteTar.
func Images(binaries string) (map[string]v1.Image, error) {
	images := map[string]v1.Image{}
	for reference, program := range programs {
		image, err := ociimage.FromFiles(
			[]ociimage.File{{Path: "/" + program, Source: filepath.Join(binaries, program)}},
			ociimage.Config{Entrypoint: []string{"/" + program}, User: nobody},
		)
		if err != nil {
			return nil, fmt.Errorf("building the image of %s: %w", program, err)
		}
		images[reference] = image
	}
	return images, nil
}
