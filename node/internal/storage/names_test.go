package storage

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
)

func TestVolumeNamesArePathElements(t *testing.T) {
	for _, name := range []string{"pvc-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", "a", "a.b", "a..b", strings.Repeat("a", 200)} {
		if err := checkName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", ".", "..", ".a", "a.", "-a", "a/b", "../a", "a\n", "a\x00", "A", "ä", "a b", strings.Repeat("a", 250)} {
		if checkName(name) == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}

func TestImagesHaveTheRequestedSize(t *testing.T) {
	for text, size := range map[string]int64{
		"8Mi": 8 << 20, "1Gi": 1 << 30, "5G": 5_000_003_584, "8388609": 8<<20 + 4096, "8388608500m": 8<<20 + 4096, "16Ti": 16 << 40, "1.5Gi": 3 << 29, "1e9": 1_000_001_536,
	} {
		if got, err := imageSize(resource.MustParse(text)); err != nil || got != size {
			t.Errorf("%s: %d, %v; not %d", text, got, err, size)
		}
	}
	for _, text := range []string{"0", "-1Gi", "1", "8388607", "17Ti", "1Ei", "1000Ei", "100m"} {
		if got, err := imageSize(resource.MustParse(text)); err == nil {
			t.Errorf("%s was accepted as %d", text, got)
		}
	}
}

func TestMountPathsAreUnescaped(t *testing.T) {
	for escaped, plain := range map[string]string{`/a\040b`: "/a b", `/a\134b`: `/a\b`, `/plain`: "/plain", `/end\04`: `/end\04`, `/x\011`: "/x\t"} {
		if got := unescape(escaped); got != plain {
			t.Errorf("%s: %q, not %q", escaped, got, plain)
		}
	}
}
