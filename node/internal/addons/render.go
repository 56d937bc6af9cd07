package addons

import (
	"bytes"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/template"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"berth.dev/node/internal/storage"
)

//go:embed manifests/*.yaml
var manifests embed.FS

// values are what the manifests' templates name.
type values struct {
	DNSAddress, Corefile, CorefileHash, CoreDNSImage, MetricsServerImage, Provisioner string
	MetricsCertificate, MetricsKey                                                    []byte
}

// render gives the objects in the order to apply them.
func render(o Options, certificate keyPair) ([]*unstructured.Unstructured, error) {
	functions := template.FuncMap{
		"base64": func(content []byte) string { return base64.StdEncoding.EncodeToString(content) },
		// A JSON string is a YAML string, whatever is in it.
		"json": func(text string) (string, error) { encoded, err := json.Marshal(text); return string(encoded), err },
	}
	templates, err := template.New("").Funcs(functions).Option("missingkey=error").ParseFS(manifests, "manifests/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("reading the manifests: %w", err)
	}
	files, err := manifests.ReadDir("manifests")
	if err != nil {
		return nil, fmt.Errorf("listing the manifests: %w", err)
	}
	text := corefile(o)
	given := values{
		DNSAddress: o.DNSAddress.String(), Corefile: text, CorefileHash: hash(text), CoreDNSImage: CoreDNSReference, MetricsServerImage: MetricsServerReference,
		Provisioner: storage.ProvisionerName, MetricsCertificate: certificate.certificate, MetricsKey: certificate.key,
	}
	var objects []*unstructured.Unstructured
	for _, file := range files {
		var content bytes.Buffer
		if err := templates.ExecuteTemplate(&content, file.Name(), given); err != nil {
			return nil, fmt.Errorf("filling in %s: %w", file.Name(), err)
		}
		for decoder := yaml.NewYAMLOrJSONDecoder(&content, 4096); ; {
			object := &unstructured.Unstructured{}
			err := decoder.Decode(object)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", file.Name(), err)
			}
			objects = append(objects, object)
		}
	}
	return objects, nil
}
