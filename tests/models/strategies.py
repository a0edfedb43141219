"""Every kind of network, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from models import NetworkConfig

positive = st.floats(0.3, 2.0)
any_activation = st.one_of(
    st.fixed_dictionaries({"name": st.just("relu"), "slope": positive}),
    st.fixed_dictionaries(
        {"name": st.just("leaky_relu"), "slope": positive, "leak_slope": st.floats(-0.3, 0.3)}
    ),
    st.fixed_dictionaries({"name": st.just("tanh"), "slope": positive}),
    st.fixed_dictionaries(
        {"name": st.just("sigmoid"), "slope": positive, "shift": st.floats(-1.0, 1.0)}
    ),
    st.fixed_dictionaries({"name": st.just("softplus"), "beta": positive, "slope": positive}),
    st.fixed_dictionaries({"name": st.just("gelu"), "alpha": positive}),
)
levels = st.sampled_from([0.0, 0.2])
any_network = st.builds(
    lambda activation, form, inside, bias, **rest: NetworkConfig(
        n_units=7,
        activation=activation["name"],
        activation_args={k: v for k, v in activation.items() if k != "name"},
        equation_type=form,
        noise_inside=inside and form == "s",
        bias_min=-bias,
        bias_max=1.5 * bias,
        bias_init="uniform",
        **rest,
    ),
    any_activation,
    st.sampled_from(["s", "h"]),
    st.booleans(),
    st.sampled_from([0.0, 0.2]),
    tau=st.sampled_from([1.0, 2.5, 10.0]),
    gamma=st.sampled_from([0.0, 0.05]),
    dale=st.booleans(),
    exc_to_inh_ratio=st.sampled_from([1.0, 4.0]),
    density=st.sampled_from([0.5, 1.0]),
    self_connections=st.booleans(),
    nonnegative_inp=st.booleans(),
    nonnegative_out=st.booleans(),
    sigma_rec=levels,
    sigma_inp=levels,
    sigma_out=levels,
    train_x_init=st.booleans(),
    constraint_method=st.sampled_from(["clamp", "reflect"]),
)
