# E: the vCPU scheduler.
E_FILE     ?= lab/E/policies.c
E_REPLACES := vmm/sched/states.c vmm/sched/rr.c vmm/sched/fair.c vmm/sched/fair_rates.c
E_HIDES    := vmm/sched/stride.c vmm/sched/lottery.c vmm/sched/fair.h
E_ITEMS    := lab/E/tests.c tests/sched_sim.c
E_GUESTS   := minios.elf
E_RUN       = --timeout 30 --stats --smp 4 --sched fair $(O)/guest/minios.elf -append smp-stress=2
