package addons

import (
	"fmt"
	"path/filepath"

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

// Images builds them from the static binaries pause, coredns and metrics-server in this folder, by reference, ready for ociimage.WriteTar.
func Images(binaries string) (map[string]v1.Image, error) {
	images := map[string]v1.Image{}
	for reference, program := range map[string]string{PauseReference: "pause", CoreDNSReference: "coredns", MetricsServerReference: "metrics-server"} {
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
