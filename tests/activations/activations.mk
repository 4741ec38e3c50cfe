# minios and a rival on the same pCPUs; tests/activations_run.c runs it, and the demo below.
ACTIVATIONS_PAIR := $(O)/tests/activations-pair
guests: $(ACTIVATIONS_PAIR)
$(ACTIVATIONS_PAIR): $(O)/tests/activations/pair.o $(LIB_OBJ) $(O)/vmm/world/stub_blob.o
	$(CC) $(ALLFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
-include $(O)/tests/activations/pair.d

.PHONY: activations-demo
activations-demo: all      ## user-level threads with and without scheduler activations
	@PAIR=$(ACTIVATIONS_PAIR) GUESTS=$(O)/guest sh tests/activations/demo.sh
