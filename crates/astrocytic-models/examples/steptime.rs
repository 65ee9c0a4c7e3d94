use astrocytic_attention::*;
use astrocytic_models::*;
use burn::optim::*;
use burn::tensor::*;
use std::time::Instant;
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() {
    let a: Vec<usize> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let (d, layers, t, b, h) = (a[0], a[1], a[2], a[3], a[4]);
    let device = Device::flex().autodiff();
    let v = 512;
    let sm = SoftmaxAttentionConfig::new(d, h).with_causal(true).with_bias(false);
    let tri = |c: usize| {
        AttentionConfig::Astrocytic(AstrocyticAttentionConfig::tripartite(d, h).with_bias(false).with_chunk(c))
    };
    for (name, att) in [
        ("softmax", AttentionConfig::Softmax(sm.clone().with_rotary_theta(Some(1e4)))),
        (
            "softmax+cg",
            AttentionConfig::Softmax(sm.with_rotary_theta(Some(1e4)).with_convolution(4).with_output_gate(true)),
        ),
        ("off", AttentionConfig::Off),
        (
            "linear",
            AttentionConfig::Astrocytic(AstrocyticAttentionConfig::linear(d, h).with_bias(false).with_causal(true)),
        ),
        ("tri16", tri(16)),
        ("tri32", tri(32)),
        ("tri64", tri(64)),
    ] {
        device.seed(1);
        let mut model = DecoderConfig::new(v, d, layers, d * 8 / 3 / 8 * 8, att).init(&device);
        let mut opt = AdamWConfig::new().init();
        let x = Tensor::<2, Int>::random([b, t], Distribution::Uniform(0.0, v as f64 - 1.0), &device);
        let mut ts = vec![];
        let mut fwd = vec![];
        for _ in 0..8 {
            let s = Instant::now();
            let lg = model.forward(x.clone());
            let lp = activation::log_softmax(lg.reshape([b * t, v]), 1);
            let loss = lp.gather(1, x.clone().reshape([b * t, 1])).mean().neg();
            let _l = loss.clone().into_scalar::<f32>();
            fwd.push(s.elapsed().as_secs_f64());
            let g = GradientsParams::from_grads(loss.backward(), &model);
            model = opt.step(1e-3, model, g);
            ts.push(s.elapsed().as_secs_f64());
        }
        ts.sort_by(f64::total_cmp);
        fwd.sort_by(f64::total_cmp);
        println!("{name:12} {:.1} ms fwd {:.1} ms  {:.0} tok/s", ts[3] * 1e3, fwd[3] * 1e3, (b * t) as f64 / ts[3]);
    }
}
