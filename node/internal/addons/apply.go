package addons

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
)

// pollInterval is between two looks at something awaited.
const pollInterval = 100 * time.Millisecond

// resource is where the object lives. The kinds here are all regular, so their plurals need no discovery, which is slow while the metrics API
// is not yet answering.
func resource(client dynamic.Interface, object *unstructured.Unstructured) dynamic.ResourceInterface {
	plural, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	if object.GetNamespace() == "" {
		return client.Resource(plural)
	}
	return client.Resource(plural).Namespace(object.GetNamespace())
}

// describe names the object for people.
func describe(object *unstructured.Unstructured) string {
	if object.GetNamespace() == "" {
		return object.GetKind() + " " + object.GetName()
	}
	return object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
}

// apply writes the object. An API server that has just started lacks its own namespaces for a moment, so what may pass is tried again.
func apply(ctx context.Context, client dynamic.Interface, object *unstructured.Unstructured) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		_, last = resource(client, object).Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
		if last == nil {
			return true, nil
		}
		if lasting(last) {
			return false, last
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("applying %s: %w (%w)", describe(object), err, last)
	}
	return nil
}

// lasting says whether trying again is pointless: the API server understood the request and refuses it.
func lasting(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsUnauthorized(err) || apierrors.IsMethodNotSupported(err)
}

// awaitAll waits until the objects that serve something do.
func awaitAll(ctx context.Context, client dynamic.Interface, objects []*unstructured.Unstructured, alive func(container string) bool) error {
	for _, object := range objects {
		var ready func(*unstructured.Unstructured) (bool, string)
		switch object.GetKind() {
		case "Deployment":
			ready = func(deployment *unstructured.Unstructured) (bool, string) {
				if serves, why := deploymentServes(deployment); !serves {
					return false, why
				}
				return podsServe(ctx, client, deployment, alive)
			}
		case "APIService":
			ready = func(service *unstructured.Unstructured) (bool, string) { return condition(service, "Available") }
		default:
			continue
		}
		if err := await(ctx, client, object, ready); err != nil {
			return err
		}
	}
	return nil
}

func await(ctx context.Context, client dynamic.Interface, object *unstructured.Unstructured, ready func(*unstructured.Unstructured) (bool, string)) error {
	seen := "nothing was seen of it"
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		current, err := resource(client, object).Get(ctx, object.GetName(), metav1.GetOptions{})
		if err != nil {
			if ctx.Err() == nil {
				seen = err.Error()
			}
			return false, nil
		}
		done, why := ready(current)
		seen = why
		return done, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for %s to be available: %w; last seen: %s", describe(object), err, seen)
	}
	return nil
}

// deploymentServes is true when the pods of the newest template are available.
func deploymentServes(deployment *unstructured.Unstructured) (bool, string) {
	wanted := number(deployment, "spec", "replicas")
	updated, available := number(deployment, "status", "updatedReplicas"), number(deployment, "status", "availableReplicas")
	if number(deployment, "status", "observedGeneration") < deployment.GetGeneration() {
		return false, "the newest version is not yet noticed"
	}
	if updated < wanted || available < wanted || number(deployment, "status", "unavailableReplicas") > 0 {
		_, why := condition(deployment, "Available")
		return false, fmt.Sprintf("%d of %d pods updated, %d available: %s", updated, wanted, available, why)
	}
	return true, ""
}

func number(object *unstructured.Unstructured, path ...string) int64 {
	value, found, err := unstructured.NestedInt64(object.Object, path...)
	if err != nil || !found {
		return 0 // the API leaves zeros out
	}
	return value
}

// condition is whether the object's condition holds, and what it says.
func condition(object *unstructured.Unstructured, kind string) (bool, string) {
	list, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		return false, err.Error()
	}
	for _, entry := range list {
		fields, ok := entry.(map[string]any)
		if ok && fields["type"] == kind {
			return fields["status"] == "True", fmt.Sprint(fields["reason"], ": ", fields["message"])
		}
	}
	return false, "it has no condition " + kind
}
