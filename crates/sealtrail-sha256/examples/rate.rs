use std::time::Instant;
fn main() {
    for length in [48_usize, 300, 400, 1200] {
        let bodies: Vec<Vec<u8>> = (0..1000).map(|n| vec![n as u8; length]).collect();
        for name in ["one", "many"] {
            let begun = Instant::now();
            let mut sum = 0_u64;
            let rounds = 200;
            for _ in 0..rounds {
                if name == "one" {
                    for body in &bodies {
                        sum += u64::from(sealtrail_sha256::digest(&[&[0], &[7; 16], body])[0]);
                    }
                } else {
                    sum += sealtrail_sha256::digest_each(bodies.iter().map(|b| ([7; 17], b.as_slice())))
                        .iter()
                        .map(|d| u64::from(d[0]))
                        .sum::<u64>();
                }
            }
            println!(
                "{length} {name}: {:.0} ns {sum}",
                begun.elapsed().as_nanos() as f64 / (rounds * 1000) as f64
            );
        }
    }
}
