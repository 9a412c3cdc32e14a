<?php
// Stand-ins for what the observer of docs/RECIPES.md uses of Laravel, and a scene: a product is created,
// updated and deleted. Deferred work is done once the answer is sent; requests are real.
namespace Illuminate\Contracts\Events { interface ShouldHandleEventsAfterCommit {} }

namespace Illuminate\Support {
    $GLOBALS['deferred'] = [];
    class DeferredCallback { public function always() { return $this; } }
    function defer(callable $work) { $GLOBALS['deferred'][] = $work; return new DeferredCallback(); }
}

namespace Illuminate\Support\Facades {
    class Http {
        private $token, $timeout = 30, $connect = 10;
        public static function withToken(string $token) { $it = new self(); $it->token = $token; return $it; }
        public function timeout(int $seconds) { $this->timeout = $seconds; return $this; }
        public function connectTimeout(int $seconds) { $this->connect = $seconds; return $this; }
        public function post(string $url, array $body) {
            $call = curl_init($url);
            curl_setopt_array($call, [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => $this->timeout,
                CURLOPT_CONNECTTIMEOUT => $this->connect, CURLOPT_POSTFIELDS => json_encode($body),
                CURLOPT_HTTPHEADER => ["Authorization: Bearer {$this->token}", 'Content-Type: application/json']]);
            curl_exec($call);
            echo curl_getinfo($call, CURLINFO_RESPONSE_CODE), PHP_EOL;
            return $this;
        }
        public function throw() { return $this; }
    }
}

namespace {
    function env(string $name) { return getenv($name); }
    function rescue(callable $work) { return $work(); }
    function config(string $path) {
        $value = ['services' => require getcwd().'/services.php'];
        foreach (explode('.', $path) as $key) $value = $value[$key];
        return $value;
    }
    class Product {
        public $wasRecentlyCreated = false;
        public function getTable() { return 'products'; }
        public function getKey() { return 7; }
    }
    require getcwd().'/CacheMirrorObserver.php';
    $observer = new \App\Observers\CacheMirrorObserver();
    if (!$observer instanceof \Illuminate\Contracts\Events\ShouldHandleEventsAfterCommit) exit(1);
    $product = new Product();
    $product->wasRecentlyCreated = true;
    $observer->saved($product);
    $product->wasRecentlyCreated = false;
    $observer->saved($product);
    $observer->deleted($product);
    echo "the answer is sent\n";
    foreach ($GLOBALS['deferred'] as $work) $work();
}
